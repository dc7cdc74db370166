// What the charts and the verdict of an operator's page show, from one set of statistics to the next. Pure. Times in seconds.

const kept = 300;         // of history
const rateOver = 5;       // rates are means of so long
const promiseOver = 30;   // promises are few
const heldReasons = ["not_open", "paused", "rate", "active", "gate", "store"];

// A new point of the history: {at, ...} of the statistics `stats`, taken `at`. The last one is the present.
function recorded(history, stats, at) {
  const t = stats.totals;
  const raw = {
    at, epoch: stats.epoch, waiting: stats.waiting, active: stats.active, offered: stats.offered, entered: t.entered,
    lapsed: t.lapsed, full: t.refused?.full ?? 0, polls: t.polls + t.early_polls, early: t.early_polls,
    promises: t.eta_error?.count ?? 0, error: t.eta_error?.sum ?? 0,
    held: heldReasons.map(reason => t.held_s[reason] ?? 0)};
  // Counters of a room that has begun afresh say nothing about those before.
  const last = history.at(-1);
  const isNew = !last || last.epoch !== raw.epoch || ["entered", "lapsed", "polls"].some(name => raw[name] < last[name]);
  const before = isNew ? [] : history.filter(p => at - p.at <= kept);
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

// Whether who came now would be let in at once.
const isFree = ({state, waiting, reason}) => state === "passthrough" || (state === "open" && waiting === 0 && reason === null);

// For how long nobody has come in although somebody waits; as far as the history goes back.
function stuckFor(history) {
  const last = history.at(-1);
  const before = history.map(p => p.waiting > 0 && p.entered === last.entered).lastIndexOf(false);
  return last.at - (history[before + 1] ?? last).at;
}

// How things are, in a word and a sentence: {tone: well | look | bad, key, values}. The worst comes first. `limits`: as
// GET /rooms/{name} tells them, or null.
function verdictOf(stats, limits, history) {
  const {state, waiting: n, offered} = stats, last = history.at(-1);
  const minute = history.find(p => last.at - p.at <= 60);
  const is = (tone, key, values = {}) => ({tone, key: "verdict_" + key, values: {n, ...values}});
  const stuck = stuckFor(history), admit = limits?.admit;
  // For so long nobody comes in because that is how it is configured.
  const gap = admit ? limits.pace === "smooth" ? admit.per_s / admit.permits : admit.per_s : 0;
  const lapsed = last.lapsed - minute.lapsed, entered = last.entered - minute.entered, full = last.full - minute.full;
  if (stats.store_error) return is("bad", "store", {problem: stats.store_error});
  if (state === "passthrough") return is("bad", "passthrough");
  if (state === "closed") return n > 0 ? is("bad", "closed_on") : is("look", "closed");
  if (state === "paused") return is("look", n > 0 ? "paused_on" : "paused");
  if (state === "prequeue") return is("look", "prequeue");
  if (n > 0 && stats.gate === 0) return is("bad", "gate_shut", {reason: stats.gate_reason});
  if (n > 0 && limits?.manual) return is("look", "manual");
  if (stuck >= Math.max(30, 3 * gap)) {
    const key = offered > 0 ? "stuck_offered" : stats.reason === "active" ? "stuck_active" : "stuck";
    return is(offered > 0 ? "look" : "bad", key, {s: stuck, k: offered});
  }
  if (full > 0) return is("look", "full", {k: full});
  if (stats.gate < 1) return is("look", "gate", {share: Math.round(100 * stats.gate), reason: stats.gate_reason});
  if (lapsed >= 5 && lapsed > entered) return is("look", "lapsing", {k: lapsed});
  if (state === "draining") return is("look", n > 0 ? "draining_on" : "draining");
  return n > 0 ? is("well", "moving") : is("well", "idle");
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
