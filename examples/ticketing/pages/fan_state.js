// What a fan's page knows, what changes it, and what it does next. Pure: no clock, no network, no document.
//
//   loading ─► outside ─join─► prequeued ─► waiting ─► offered ─claim─► active ─► ended
//                 ▲                                      └► holding (claimed, but the door is busy) ─► active
//                 └──────────────────────────── join again ◄──────────────────────────────────────────┘
//
// Times are milliseconds of one clock. `again` of an answer: ask again in so many ms.

const outsideEvery = 5000;    // the public status, for who has no seat
const offerEvery = 5000;      // it may be withdrawn
const activeEvery = 20000;    // a session may be revoked
const silence = 20000;        // of a stream, until the page asks all the same: it may have died unseen, and a turn is short
const slack = 25;             // timers of browsers may come early
const retryFirst = 1000, retryLast = 30000;

// What a fan wants done, and as long as which phases there is something to do.
const wishes = {claim: ["offered", "holding"], leave: ["prequeued", "waiting", "offered"], complete: ["active"]};

const isLive = phase => ["prequeued", "waiting", "offered", "holding", "active"].includes(phase);
const isInLine = phase => phase === "prequeued" || phase === "waiting";

function freshFan() {
  return {
    phase: "loading",
    ended: null,        // how: a state of the seat, or lost, restarted, elsewhere, rejected, duplicate
    view: null,         // what the room said last,
    seenAt: 0,          // and when
    hint: 0,            // how long it asked to be left alone,
    notBefore: 0,       // which is until then
    start: null,        // the first position
    status: null,       // the room's public status,
    statusAt: -Infinity,
    roomAhead: null,    // of the room's clock to this one: nobody's device is asked what time it is
    refusal: null,      // of a join: {kind: full | often, until}
    notice: null,       // {kind, ...}: one thing that happened
    trouble: null,      // {kind: offline | unreachable | server, tries, retryAt, what}
    busy: null,         // the request that is on its way
    stream: false,      // the room tells by itself: its streams count as polls
    hiddenAt: null,     // since when nobody looks at the page,
    away: null,         // and on return: {ms, position}, until the room has spoken
    offerEnds: null, sessionEnds: null,
  };
}

// What survives a reload, and is shared by the tabs of one fan.
function keptOf(fan) {
  if (!isLive(fan.phase)) return null;
  const {phase, view, seenAt, hint, notBefore, start} = fan;
  return {phase, view, seenAt, hint, notBefore, start};
}
function restored(kept, now) {
  const fan = freshFan();
  if (!kept?.view || !isLive(kept.phase) || !(kept.seenAt <= now + 1000)) return fan;  // or the clock was set back
  const {phase, view, seenAt, hint, notBefore, start} = kept;
  // A clock that was set back must not keep the page from asking.
  return {...fan, phase, view, seenAt, hint, start, notBefore: Math.min(notBefore, now + hint), ...endsOf(view, seenAt)};
}

const aheadOf = (asOf, now) => { const at = Date.parse(asOf); return Number.isNaN(at) ? null : at - now; };
// Until the room opens, in ms, by its own clock; null: it does not open by itself.
function untilOpening(fan, now) {
  const opens = Date.parse(fan.status?.opens_at ?? "");
  return Number.isNaN(opens) || fan.roomAhead === null ? null : opens - (now + fan.roomAhead);
}

function endsOf(view, at) {
  const left = text => text ? at + Math.max(0, Date.parse(text) - Date.parse(view.as_of)) : null;
  return {offerEnds: left(view.offer_expires_at), sessionEnds: left(view.session_expires_at)};
}

// A view of the seat has come.
function adopted(fan, view, now, again = view.poll_after_ms) {
  const next = {
    ...fan, view, seenAt: now, hint: again ?? 0, notBefore: now + (again ?? 0) + slack, refusal: null,
    ended: null, away: null, roomAhead: aheadOf(view.as_of, now) ?? fan.roomAhead, ...endsOf(view, now)};
  next.phase = isLive(view.state) ? view.state : "ended";
  if (next.phase === "ended") {
    // The room forgets how a seat in its line ended before it forgets that there was one.
    const forgotten = isInLine(fan.phase) ? "lost" : fan.phase === "offered" ? "lapsed" : "expired";
    next.ended = view.state === "expired" ? forgotten : view.state;
  }
  if (next.phase === "waiting") next.start = Math.max(fan.start ?? 0, view.position);
  if (!wishes[fan.trouble?.what]?.includes(next.phase)) next.trouble = null;  // a wish that failed is tried again all the same
  next.notice = noticeOf(fan, next, now);
  return next;
}

function noticeOf(fan, next, now) {
  const before = fan.view?.position, after = next.view.position;
  if (fan.away && fan.away.ms >= 10000) {
    const notice = {at: now, ms: fan.away.ms, from: fan.away.position, to: after};
    if (next.phase === "waiting") return {kind: notice.from > after ? "away_moved" : "away", ...notice};
    if (next.phase === "ended") return {kind: "away_missed", ...notice};
  }
  if (next.phase === "waiting" && (fan.phase === "offered" || fan.phase === "holding")) return {kind: "requeued_front", at: now};
  if (next.phase === "waiting" && fan.phase === "waiting" && before !== null && after > before) {
    return {kind: "moved_back", at: now, from: before, to: after};
  }
  const stays = fan.notice && next.phase === fan.phase && now - fan.notice.at < 30000;
  return stays ? fan.notice : null;
}

function endedAs(fan, how) {
  return {...fan, phase: "ended", ended: how, trouble: null, busy: null, notice: null, away: null};
}

function inTrouble(fan, answer, what, now, chance) {
  const tries = (fan.trouble?.tries ?? 0) + 1;
  const wait = Math.min(retryLast, retryFirst * 2 ** (tries - 1)) * (0.75 + 0.5 * chance);
  const retryAt = Math.max(now + wait, now + (answer.again ?? 0), earliest(what, fan));
  const offline = fan.trouble?.kind === "offline";  // the browser says so, until it says otherwise
  return {...fan, trouble: {kind: answer.status !== 0 ? "server" : offline ? "offline" : "unreachable", tries, retryAt, what}};
}

// Hints are for questions: what somebody wants done may be tried at any time.
const earliest = (what, fan) => what === "look" ? fan.notBefore : 0;

// The room answered, or did not (status 0): `what` is status, look, join, claim, leave or complete. `chance`: in [0, 1).
function answered(was, what, answer, now, chance = 0.5) {
  const fan = {...was, busy: null};
  const {status, body, again} = answer;
  const settled = {...fan, trouble: fan.trouble?.what === what ? null : fan.trouble};
  const held = {...fan, trouble: null, notBefore: now + (again ?? 1000) + slack};
  if (status === 0 || status >= 500 && body?.error !== "room_full") return inTrouble(fan, answer, what, now, chance);
  if (status === 404 && (what === "status" || body?.error === "no_such_room")) return {...fan, phase: "absent", trouble: null};
  if (what === "status") {
    if (status !== 200) return inTrouble(fan, answer, what, now, chance);
    return {...fan, status: body, statusAt: now, roomAhead: aheadOf(body.as_of, now) ?? fan.roomAhead,
            trouble: fan.trouble?.what === "status" ? null : fan.trouble};
  }
  if (what === "join") {
    if (body?.error === "in_progress") return inTrouble(fan, answer, what, now, chance);  // the first try is still on its way
    return joined(held, answer, now);
  }
  if (body?.error === "over" && body.view) return requeued(adopted(settled, body.view, now, null), body, now);
  if (what === "complete" && (status === 401 || status === 410)) return endedAs(fan, "expired");
  switch (status) {
    case 200: return requeued(adopted(settled, body, now, again), body, now);
    case 202: {  // the offer stands; nothing to press
      const next = adopted(settled, body, now, again);
      return next.phase === "offered" ? {...next, phase: "holding", notice: null} : next;
    }
    case 204: return endedAs(fan, what === "leave" ? "left" : "completed");
    case 429: return held;
    case 400: case 401: case 410:  // who comes with a token of yesterday has lost nothing
      if (body?.error !== "no_token" && fan.phase !== "loading") return endedAs(fan, "restarted");
      return {...freshFan(), phase: "outside", status: fan.status, statusAt: fan.statusAt, hiddenAt: fan.hiddenAt,
              roomAhead: fan.roomAhead};
    case 409: return endedAs(fan, "elsewhere");
    default: return inTrouble(fan, answer, what, now, chance);
  }
}

// A lapsed seat may have been given a new place: its cookie has come with the answer, and one asks with that.
function requeued(fan, body, now) {
  if (fan.ended !== "lapsed" || !body.token) return fan;
  return {...fan, phase: "waiting", ended: null, start: null, view: {...fan.view, state: "waiting", position: null},
          notBefore: now, notice: {kind: "requeued", at: now}};
}

function joined(fan, answer, now) {
  const {status, body, again} = answer;
  const refused = kind => ({...fan, phase: "outside", ended: null, refusal: {kind, until: now + (again ?? 5000)}});
  switch (status) {
    case 200: case 201: return {...adopted({...fan, start: null, phase: "outside", view: null}, body, now, again), notice: null};
    case 403: return endedAs(fan, "rejected");
    case 409: return endedAs(fan, "duplicate");
    case 423: return {...fan, phase: "outside", ended: null, statusAt: -Infinity,
                      status: {...fan.status, state: "closed", opens_at: body?.opens_at ?? null}};
    case 429: return refused("often");
    case 503: return refused("full");
    default: return endedAs(fan, "rejected");
  }
}

// Nobody looks at the page any more, or somebody does again.
function hidden(fan, now) {
  return {...fan, hiddenAt: now};
}
function shown(fan, now) {
  if (fan.hiddenAt === null) return fan;
  const away = isLive(fan.phase) ? {ms: now - fan.hiddenAt, position: fan.view?.position} : null;
  return {...fan, hiddenAt: null, away};
}

// The browser has lost the network, or found it again.
function offline(fan, now) {
  const next = due(fan, now);
  return {...fan, trouble: {kind: "offline", tries: 0, what: next?.what ?? "status", retryAt: Math.max(now + 2000, next?.at ?? 0)}};
}
function online(fan, now) {
  if (!fan.trouble) return fan;
  return {...fan, trouble: {...fan.trouble, kind: "unreachable", retryAt: Math.max(now, earliest(fan.trouble.what, fan))}};
}

// What comes next by itself: {at, what}; null: nothing.
function due(fan, now) {
  if (fan.busy) return null;
  if (fan.trouble) return {at: fan.trouble.retryAt, what: fan.trouble.what};
  const isHidden = fan.hiddenAt !== null;
  // Who is not heard of for three times the hint has gone. A page that nobody looks at asks half as often: it keeps its
  // place, and still finds out that its turn has come.
  const nextLook = Math.max(fan.notBefore, isHidden ? fan.seenAt + 2 * fan.hint : 0);
  const latest = (...times) => Math.max(...times);
  switch (fan.phase) {
    case "loading": return fan.status ? {at: latest(now, fan.notBefore), what: "look"} : {at: now, what: "status"};
    case "outside":
      return isHidden ? null : {at: latest(now, fan.statusAt + outsideEvery), what: "status"};
    case "prequeued": case "waiting": {
      const look = {at: fan.stream ? latest(nextLook, fan.seenAt + silence) : nextLook, what: "look"};
      // The draw's seed, as soon as it is published.
      const seed = fan.phase === "waiting" && !isHidden && fan.status?.commitment && !fan.status.seed
        ? {at: latest(now, fan.statusAt + outsideEvery), what: "status"} : null;
      return seed && seed.at <= look.at ? seed : look;
    }
    case "offered": {
      const end = fan.offerEnds === null ? Infinity : fan.offerEnds + 300;
      return {at: latest(nextLook, Math.min(end, fan.seenAt + offerEvery)), what: "look"};
    }
    case "holding": return {at: fan.notBefore, what: "claim"};
    case "active": {
      const end = fan.sessionEnds === null ? Infinity : fan.sessionEnds + 300;
      const at = latest(fan.notBefore, isHidden ? end : Math.min(end, fan.seenAt + activeEvery));
      return at === Infinity ? null : {at, what: "look"};
    }
    default: return null;
  }
}

// Another tab has asked for the same seat: what it heard counts here too. `chance` keeps the tabs from asking at once.
function overheard(fan, kept, now, chance) {
  if (fan.busy || !kept?.view || !(kept.seenAt > fan.seenAt)) return fan;
  const next = adopted(fan, kept.view, Math.min(kept.seenAt, now), kept.hint);  // its clock may be ahead of this one
  const notBefore = Math.min(kept.notBefore, now + kept.hint + slack);
  return {...next, start: kept.start, notBefore: notBefore + 1000 + 1000 * chance, away: fan.away};
}
