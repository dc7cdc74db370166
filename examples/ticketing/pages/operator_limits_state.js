// The limits of a room as an operator changes them: what stands in which field, and what the server is sent. Pure.

// kind: count, real, seconds or flag; an array: one of these. `off`: may be empty, which means no limit. `more`: seldom needed.
const limitFields = [
  {path: "admit.permits", kind: "count", off: true}, {path: "admit.per_s", kind: "seconds", off: true},
  {path: "pace", kind: ["smooth", "batch", "strict"]}, {path: "max_active", kind: "count"}, {path: "capacity", kind: "count"},
  {path: "claim_window_s", kind: "seconds"}, {path: "session_ttl_s", kind: "seconds"}, {path: "manual", kind: "flag"},
  {path: "lapsed", kind: ["end", "requeue_front", "requeue_back"], more: true},
  {path: "session_idle_s", kind: "seconds", off: true, more: true}, {path: "renewal", kind: ["none", "sliding"], more: true},
  {path: "session_max_s", kind: "seconds", more: true}, {path: "overbook_at_most", kind: "real", more: true},
  {path: "presence_least_s", kind: "seconds", more: true}, {path: "order", kind: ["strict", "weighted"], more: true},
  {path: "polls.budget_per_s", kind: "real", more: true}, {path: "polls.shortest_s", kind: "seconds", more: true},
  {path: "polls.longest_s", kind: "seconds", more: true}, {path: "polls.jitter", kind: "real", more: true},
  {path: "eta_memory_s", kind: "seconds", more: true}];
const laneFields = [{path: "weight", kind: "real"}, {path: "min_share", kind: "real"}, {path: "cap", kind: "count"},
                    {path: "bypass", kind: "flag"}];

// All fields of a room with these limits; those of its lanes have `lane` and `name`, the word for them.
function fieldsOf(limits) {
  const lanes = limits.lanes.length < 2 ? [] : limits.lanes.flatMap((l, i) => laneFields.map(f =>
    ({...f, path: `lanes[${i}].${f.path}`, name: "lane_" + f.path, lane: l.lane, more: true})));
  return [...limitFields.filter(f => f.path !== "order" || lanes.length > 0), ...lanes];
}
const wordOf = field => "limit_" + (field.name ?? field.path).replace(".", "_");

const inside = (limits, path) => path.split(/[.[\]]+/).reduce((value, key) => value?.[key], limits) ?? null;
// As it stands in its field.
const textOf = (limits, path) => { const value = inside(limits, path); return value === null ? "" : String(value); };

// What is sent for a text; what is no number goes as it is, for the server to say what it wants.
function valueOf(field, text) {
  if (Array.isArray(field.kind)) return text;
  if (field.kind === "flag") return text === "true";
  const bare = text.replace(/[\s,]/g, "");
  if (bare === "") return field.off ? null : "";
  return /^-?\d*\.?\d+$/.test(bare) ? Number(bare) : text;
}

// The fields whose texts are not what is in force: [{field, from, to}], as texts.
function changesOf(limits, texts) {
  return fieldsOf(limits).filter(f => f.path in texts)
    .map(field => ({field, from: textOf(limits, field.path), to: texts[field.path].trim()}))
    .filter(c => c.from !== c.to && JSON.stringify(valueOf(c.field, c.from)) !== JSON.stringify(valueOf(c.field, c.to)));
}

// What PUT /rooms/{name} is sent: what changes, and nothing else.
function bodyOf(limits, changes) {
  const body = {};
  for (const {field, to} of changes) {
    const value = valueOf(field, to), [first, second] = field.path.split(".");
    if (field.lane !== undefined) {
      body.lanes ??= limits.lanes.map(({lane}) => ({lane}));  // all of them: a refusal tells the place in this list
      body.lanes.find(l => l.lane === field.lane)[second] = value;
    } else if (second !== undefined) {
      (body[first] ??= {})[second] = value;
    } else {
      body[first] = value;
    }
  }
  // Both parts empty: no limit. One alone is for the server to refuse.
  const admit = {...(limits.admit ?? {permits: null, per_s: null}), ...body.admit};
  if (body.admit) body.admit = admit.permits === null && admit.per_s === null ? null : admit;
  return body;
}

// Which field a refusal is about: {path, text}; path null: none that the form has.
function refusalOf(limits, answered) {
  const asked = answered?.field ?? "", message = answered?.message ?? "";
  const text = message.startsWith(asked + ": ") ? message.slice(asked.length + 2) : message;
  const fields = fieldsOf(limits);
  const found = fields.find(f => f.path === asked) ?? fields.find(f => asked !== "" && f.path.startsWith(asked));
  return {path: found?.path ?? null, text};
}

// What an operator may not think of: words with their values.
function warningsOf(stats, limits, changes) {
  const to = path => { const c = changes.find(c => c.field.path === path); return c ? valueOf(c.field, c.to) : undefined; };
  const warnings = [], active = to("max_active"), capacity = to("capacity");
  const value = path => to(path) === undefined ? inside(limits, path) : to(path);
  if (active > 0 && active < stats.active) warnings.push(["warn_max_active", {n: stats.active, m: active}]);
  if (active === 0) warnings.push(["warn_no_max_active", {}]);
  if (capacity < stats.waiting) warnings.push(["warn_capacity", {n: stats.waiting}]);
  const [permits, per] = [value("admit.permits"), value("admit.per_s")];
  const changed = to("admit.permits") !== undefined || to("admit.per_s") !== undefined;
  if (changed && permits === null && per === null) warnings.push(["warn_no_admit", {}]);
  if (changed && permits > 0 && per > 0 && stats.waiting > 0) {
    warnings.push(["warn_line", {n: stats.waiting, seconds: Math.ceil(stats.waiting * per / permits)}]);
  }
  return warnings;
}

// What is in force, at a glance: "50 per 10 seconds · 200 inside".
function limitsInWords(say, {admit, max_active: most, manual}) {
  const parts = [];
  if (manual) parts.push(say("limit_by_hand"));
  else if (admit?.per_s === 1) parts.push(say("per_second", {n: admit.permits}));
  else if (admit) parts.push(say("limit_rate", {n: admit.permits, time: inWords(say, admit.per_s)}));
  if (most > 0) parts.push(say("limit_inside", {n: most}));
  return parts.join(" · ");
}
