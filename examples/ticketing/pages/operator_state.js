// What the charts of an operator's page show, from one set of statistics to the next. Pure. Times in seconds.

const kept = 300;         // of history
const rateOver = 5;       // rates are means of so long
const promiseOver = 30;   // promises are few
const heldReasons = ["not_open", "paused", "rate", "active", "gate", "store"];

// A new point of the history: {at, ...} of the statistics `stats`, taken `at`. The last one is the present.
function recorded(history, stats, at) {
  const t = stats.totals;
  const raw = {
    at, epoch: stats.epoch, waiting: stats.waiting, active: stats.active, offered: stats.offered, entered: t.entered,
    polls: t.polls + t.early_polls, early: t.early_polls, promises: t.eta_error?.count ?? 0, error: t.eta_error?.sum ?? 0,
    held: heldReasons.map(reason => t.held_s[reason] ?? 0)};
  // Counters of a room that has begun afresh say nothing about those before.
  const before = history.length > 0 && history.at(-1).entered <= raw.entered ? history.filter(p => at - p.at <= kept) : [];
  const since = seconds => before.find(p => at - p.at <= seconds + 0.5) ?? null;
  const per = (key, from) => from === null ? null : (raw[key] - from[key]) / (at - from.at);
  const recent = since(rateOver), long = since(promiseOver);
  const promises = long === null ? 0 : raw.promises - long.promises;
  const shares = recent === null ? heldReasons.map(() => null)
    : raw.held.map((value, i) => Math.min(1, Math.max(0, (value - recent.held[i]) / (at - recent.at))));
  return [...before, {
    ...raw, enteredPerS: per("entered", recent), pollsPerS: per("polls", recent), earlyPerS: per("early", recent),
    etaError: promises > 0 ? (raw.error - long.error) / promises : null, heldShares: shares}];
}

// Points of a line: seconds before now, at most 0.
const pointsOf = (history, value) => history.map(p => ({x: p.at - history.at(-1).at, y: value(p)}));

// Which actions make sense in a state: the first is what one would do next.
function actionsIn(state) {
  switch (state) {
    case "prequeue": return ["open", "close"];
    case "open": return ["pause", "drain", "close", "passthrough"];
    case "paused": return ["resume", "drain", "close", "passthrough"];
    case "draining": return ["open", "pause", "close", "passthrough"];
    case "closed": return ["open"];
    case "passthrough": return ["open", "pause", "close"];
    default: return ["open", "pause", "close"];
  }
}
const isDangerous = action => ["drain", "close", "passthrough"].includes(action);
// Asked about before it is done.
const needsQuestion = (action, n) => isDangerous(action) || action === "open" || (action === "advance" && n >= 100);
