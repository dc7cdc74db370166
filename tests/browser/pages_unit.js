// Run within the fan's page and the operator's page, whose pure parts these are about. What it evaluates to: the failures.
(() => {
  const failures = [];
  let name = "";
  const same = (a, b, what = "") => {
    const [x, y] = [JSON.stringify(a), JSON.stringify(b)];
    if (x !== y) failures.push(`${name}: ${what} is ${x}, should be ${y}`);
  };
  const check = (title, body) => {
    name = title;
    try { body(); } catch (e) { failures.push(`${title}: ${e.stack}`); }
  };
  const at = 1_000_000, iso = ms => new Date(ms).toISOString();
  const view = (state, more = {}) => ({
    state, position: null, total_waiting: 9, eta_s: null, eta_known: false, poll_after_ms: 2000, offer_expires_at: null,
    session_expires_at: null, reason: null, as_of: iso(at), ...more});
  const ok = (body, again = body?.poll_after_ms ?? null) => ({status: 200, body, again});
  const en = speaker("en"), ko = speaker("ko");

  check("both languages say the same things, with the same values", () => {
    same(Object.keys(words.ko), Object.keys(words.en), "keys");
    const holes = entry => [...new Set([entry].flat().join(" ").match(/\{\w+\}/g) ?? [])].sort();
    for (const key of Object.keys(words.en)) same(holes(words.ko[key]), holes(words.en[key]), key);
  });
  check("numbers and plurals", () => {
    same(en("people_wait", {n: 1}), "1 person is waiting.");
    same(en("people_wait", {n: 87102}), "87,102 people are waiting.");
    same(ko("people_wait", {n: 1}), "현재 1명이 기다리고 있습니다.");
  });
  check("estimates are ranges as coarse as they are", () => {
    same(etaInWords(en, {p50: 3, p90: 8}), "5–10 seconds");
    same(etaInWords(en, {p50: 2, p90: 3}), "about 5 seconds");
    same(etaInWords(en, {p50: 41, p90: 59}), "45–60 seconds");
    same(etaInWords(en, {p50: 40, p90: 61}), "1–2 minutes");
    same(etaInWords(ko, {p50: 300, p90: 430}), "5~8분");
    same(etaInWords(en, {p50: 3500, p90: 7300}), "1 h – 2 h 10 min");
    same([etaInWords(en, {p50: 3000, p90: 3600}), etaInWords(ko, {p50: 3601, p90: 4200})], ["50–60 minutes", "약 1시간 10분"]);
    same(etaInWords(ko, {p50: 20000, p90: 30000}), "6시간 ~ 9시간");
    same(etaInWords(en, {p50: 300000, p90: 430000}), "4 days – 5 days");
    same(etaInWords(ko, {p50: 170, p90: 175}), "약 3분");
  });
  check("countdowns never show nothing while there is time", () => {
    same([1, 999, 24000, 59001, 3600000, 86400000 * 2 + 1000].map(ms => countdown(en, ms)),
         ["0:01", "0:01", "0:24", "1:00", "1:00:00", "2 d 0:00:01"]);
    same(countdown(ko, -5), "0:00");
  });
  check("when to ask again: the answer's milliseconds, else Retry-After", () => {
    same(askAgainAfter({poll_after_ms: 1234}, "2"), 1234);
    same(askAgainAfter({}, "7"), 7000);
    same([askAgainAfter(null, null), askAgainAfter(null, "Wed, 21 Oct 2026 07:28:00 GMT")], [null, null]);
  });

  if (typeof recorded === "function") {
    check("an operator's rates come from differences", () => {
      const stats = (entered, more = {}) => ({epoch: 1, waiting: 5, active: 2, offered: 1, totals: {
        entered, polls: 10 * entered, early_polls: entered, held_s: {rate: entered / 4}, eta_error: {count: entered, sum: 2 * entered}, ...more}});
      let h = recorded([], stats(0), 100);
      same(h[0].enteredPerS, null);
      h = recorded(recorded(h, stats(2), 101), stats(4), 102);
      same([h[2].enteredPerS, h[2].pollsPerS, h[2].earlyPerS, h[2].etaError, h[2].heldShares[2]], [2, 22, 2, 2, 0.5]);
      for (let i = 3; i < 500; ++i) h = recorded(h, stats(2 * i), 100 + i);
      same([h.length <= kept + 2, h.at(-1).enteredPerS], [true, 2]);
      same(recorded(h, stats(1), 700).length, 1, "after a restart");
      same(recorded(h, stats(5000, {polls: 1}), 601).length, 1, "after a restart that kept its epoch");
      same(recorded(h, {...stats(5000), epoch: 2}, 601).length, 1, "after a restart that was overtaken");
    });
    const limits = {admit: {permits: 2, per_s: 1}, pace: "smooth", max_active: 0, capacity: 1000, manual: false, claim_window_s: 4,
                    session_idle_s: null, lanes: [{lane: "standard", cap: 0}], polls: {budget_per_s: 5000}};
    check("the verdict: the worst comes first, and nobody has to read a chart for it", () => {
      const stats = (more = {}, totals = {}) => ({epoch: 1, state: "open", reason: "rate", waiting: 5, active: 2, offered: 0, gate: 1, gate_reason: "",
        store_error: "", ...more, totals: {entered: 0, lapsed: 0, polls: 0, early_polls: 0, held_s: {}, refused: {full: 0}, ...totals}});
      const after = (all, l = limits) => {
        let h = [];
        all.forEach((s, i) => { h = recorded(h, s, 100 + 10 * i); });
        const v = verdictOf(all.at(-1), l, h);
        return [v.tone, v.key.slice(8)];
      };
      const moving = [0, 1, 2, 3, 4].map(i => stats({}, {entered: i}));
      same(after(moving), ["well", "moving"]);
      same(after([stats({waiting: 0})]), ["well", "idle"]);
      const still = (more, l) => after([0, 1, 2, 3].map(() => stats(more)), l);
      same(still({}), ["bad", "stuck"]);
      same(still({waiting: 0}), ["well", "idle"], "who does not wait is not stuck");
      same(after([...moving, ...[5, 6].map(() => stats({}, {entered: 4}))]), ["well", "moving"], "for 20 s");
      same(still({}, {...limits, admit: {permits: 1, per_s: 20}}), ["well", "moving"], "one in 20 s");
      same(still({}, {...limits, pace: "strict", admit: {permits: 50, per_s: 20}}), ["well", "moving"], "fifty in 20 s");
      same(still({}, null), ["bad", "stuck"], "limits are not known yet");
      same([still({offered: 2}), still({reason: "active"})], [["look", "stuck_offered"], ["bad", "stuck_active"]]);
      same(still({}, {...limits, manual: true}), ["look", "manual"]);
      same([still({state: "paused"}), still({state: "paused", waiting: 0}), still({state: "closed"})],
           [["look", "paused_on"], ["look", "paused"], ["bad", "closed_on"]]);
      same([still({gate: 0}), after([stats({gate: 0.4}, {entered: 1})])], [["bad", "gate_shut"], ["look", "gate"]]);
      same(still({state: "paused", store_error: "disk full"}), ["bad", "store"]);
      same(after([stats(), stats({}, {entered: 1, refused: {full: 3}})]), ["look", "full"]);
      same(after([stats(), stats({}, {entered: 4, lapsed: 6})]), ["look", "lapsing"]);
      same([{}, {waiting: 0, reason: null}, {waiting: 0, reason: "active"}, {state: "passthrough"}].map(more => isFree(stats(more))),
           [false, true, false, true], "whether newcomers wait");
    });
    check("limits: what stands in a field, and what is sent", () => {
      const changed = texts => changesOf(limits, texts), body = texts => bodyOf(limits, changed(texts));
      same([textOf(limits, "admit.permits"), textOf(limits, "session_idle_s"), textOf(limits, "polls.budget_per_s")], ["2", "", "5000"]);
      same(changed({capacity: "1,000", "admit.permits": " 2 ", manual: "false"}), [], "the same in other words");
      same(body({"admit.permits": "50", capacity: "2,000"}), {admit: {permits: 50, per_s: 1}, capacity: 2000});
      same(body({"admit.permits": "", "admit.per_s": ""}), {admit: null}, "no limit");
      same(body({"admit.per_s": ""}), {admit: {permits: 2, per_s: null}}, "which the server refuses");
      same(body({max_active: "many", "polls.budget_per_s": "0.5", manual: "true"}), {max_active: "many", manual: true, polls: {budget_per_s: 0.5}});
      same(body({session_idle_s: "30", pace: "strict"}), {pace: "strict", session_idle_s: 30});
      const two = {...limits, lanes: [{lane: "vip", cap: 0}, {lane: "all", cap: 0}]};
      same(bodyOf(two, changesOf(two, {"lanes[1].cap": "7"})), {lanes: [{lane: "vip"}, {lane: "all", cap: 7}]});
      same(fieldsOf(two).length - fieldsOf(limits).length, 9, "two lanes have fields, and an order");
      for (const field of fieldsOf(two)) {
        same([typeof words.en[wordOf(field)], typeof words.ko[wordOf(field)]], ["string", "string"], field.path);
        if (Array.isArray(field.kind)) for (const value of field.kind) same(typeof words.ko[`choice_${field.path}_${value}`], "string", value);
      }
      same(refusalOf(limits, {field: "admit.per_s", message: "admit.per_s: must be 1 ms .. 24 h"}), {path: "admit.per_s", text: "must be 1 ms .. 24 h"});
      same(refusalOf(limits, {field: "admit", message: "admit: or max_active is needed"}).path, "admit.permits");
      same([refusalOf(limits, {message: "no"}), refusalOf(two, {field: "lanes[1].cap", message: "x"}).path], [{path: null, text: "no"}, "lanes[1].cap"]);
      const warned = (texts, more) => warningsOf({waiting: 600, active: 80, ...more}, limits, changed(texts)).map(([key, v]) => [key, v.seconds]);
      same(warned({max_active: "50", capacity: "10"}), [["warn_max_active", null], ["warn_capacity", null]].map(([k]) => [k, undefined]));
      same(warned({"admit.permits": "10"}), [["warn_line", 60]]);
      same(warned({"admit.permits": "", "admit.per_s": ""}), [["warn_no_admit", undefined]]);
      same([limitsInWords(en, {...limits, max_active: 50}), limitsInWords(ko, {...limits, manual: true})], ["2 per second · 50 inside", "수동 입장"]);
    });
    return failures;
  }

  const waiting = (more = {}) => answered({...freshFan(), phase: "outside"}, "join",
      {status: 201, body: view("waiting", {position: 10, ...more}), again: 2000}, at);
  const over = (fan, state, status = 200) => answered(fan, "look", status === 200 ? ok(view(state, {poll_after_ms: null}))
    : {status, body: {error: "over", view: view(state)}, again: null}, at);
  check("who comes first asks for the room, then for its seat", () => {
    const fan = freshFan();
    same(due(fan, at), {at, what: "status"});
    const known = answered(fan, "status", {status: 200, body: {state: "open", waiting: 3}, again: null}, at);
    same(due(known, at), {at, what: "look"});
    same(answered(known, "look", {status: 401, body: {error: "no_token"}, again: null}, at).phase, "outside");
    same(due({...known, phase: "outside", statusAt: at}, at), {at: at + outsideEvery, what: "status"}, "who has no seat sees what changes");
    same(answered(fan, "status", {status: 404, body: {error: "no_such_room"}, again: null}, at).phase, "absent");
  });
  check("nobody asks earlier than told", () => {
    const fan = waiting();
    same([fan.phase, fan.start, due(fan, at)], ["waiting", 10, {at: at + 2000 + slack, what: "look"}]);
    same(slack >= 0 && slack <= 100, true, "slack");
    const early = answered(fan, "look", {status: 429, body: {error: "early"}, again: 700}, at + 100);
    same([early.view.position, due(early, at)], [10, {at: at + 800 + slack, what: "look"}]);
    same(due({...fan, busy: "look"}, at), null);
    const again = restored(JSON.parse(JSON.stringify(keptOf(fan))), at + 500);
    same([again.view.position, due(again, at + 500).at], [10, at + 2000 + slack], "after a reload");
    same(due(restored(keptOf(fan), at - 500000), at - 500000).what, "status", "after the clock was set back");
    same(due(restored({...keptOf(fan), notBefore: at + 1e9}, at), at).at, at + 2000, "at most the hint");
  });
  check("a page that nobody looks at asks half as often, and says on return what it found", () => {
    const fan = hidden(waiting(), at + 10);
    same(due(fan, at + 10).at, at + 4000);
    const back = shown(fan, at + 65010);
    same([due(back, at + 65010).what, due(back, at + 65010).at <= at + 65010], ["look", true]);
    const seen = answered(back, "look", ok(view("waiting", {position: 4})), at + 65020);
    same(noticeText(seen, en), "Welcome back. While you were away for 2 minutes, you moved up from 10 to 4.");
    same(noticeText(answered(back, "look", ok(view("waiting", {position: 10})), at + 65020), en),
         "Welcome back. You were away for 2 minutes, and your place was kept.");
    const late = answered(back, "look", ok(view("lapsed", {poll_after_ms: null})), at + 65020);
    same([late.ended, noticeText(late, en)], ["lapsed", "This happened while you were away."]);
    same(answered(shown(fan, at + 5000), "look", ok(view("waiting", {position: 9})), at + 5010).notice, null, "a short look away");
  });
  check("what a fan is in trouble for, and how often it tries again", () => {
    const gone = {status: 0, body: null, again: null};
    let fan = waiting(), now = at + 2100, waits = [];
    for (let i = 0; i < 8; ++i) {
      fan = answered(fan, "look", gone, now, 0.5);
      waits.push(due(fan, now).at - now);
      now = due(fan, now).at;
    }
    same(waits, [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    same([fan.phase, fan.view.position, fan.trouble.kind], ["waiting", 10, "unreachable"]);
    same(answered(fan, "look", {status: 503, body: null, again: 90000}, now).trouble.retryAt, now + 90000, "Retry-After");
    same(due(online(offline(waiting(), at), at + 10), at + 10).at, at + 2000 + slack, "back online, but not before the hint");
    same(answered(fan, "look", ok(view("waiting", {position: 8})), now).trouble, null);
  });
  check("only questions wait for the hint: what a fan wants done is tried again soon", () => {
    const gone = {status: 0, body: null, again: null};
    const offered = answered(waiting(), "look", ok(view("offered", {poll_after_ms: 20000, offer_expires_at: iso(at + 30000)})), at);
    const failed = answered(offered, "claim", gone, at + 100, 0.5);
    same(due(failed, at + 100), {at: at + 1100, what: "claim"});
    same(due(online(failed, at + 200), at + 200), {at: at + 200, what: "claim"});
    same([troubleText(failed, at, at, en).includes("kept"), troubleText(answered(waiting(), "look", gone, at), at, at, en).includes("kept")],
         [false, true], "an offer runs out");
  });
  check("a seat whose place the page has forgotten is not a page without words", () => {
    const fan = answered({...freshFan(), status: {state: "open"}}, "look", {status: 429, body: {error: "early"}, again: 40000}, at);
    const screen = screenOf(fan, at, at, {title: {en: "X"}, link: ""}, en);
    same([fan.phase, screen.heading, due(fan, at).at], ["loading", "Your place is kept", at + 40000 + slack]);
    same(screen.lead, "You will see it in 41 seconds. There is nothing to do until then.");
  });
  check("when it opens is told by the room's clock, whatever the device's says", () => {
    const opening = {state: "prequeue", opens_at: iso(at + 90000), as_of: iso(at), seed: null};
    for (const wrong of [-3600000, 0, 3600000]) {
      const fan = answered({...freshFan(), phase: "outside"}, "status", ok(opening), at + wrong);
      const screen = later => screenOf(fan, at + wrong + later, at + wrong + later, {title: {en: "X"}, link: ""}, en);
      same([screen(0).number.value, screen(30000).number.value, screen(91000).lead], ["1:30", "1:00", en("drawing")], wrong);
      const closed = screenOf({...fan, status: {...opening, state: "closed"}}, at + wrong, at + wrong, {title: {en: "X"}, link: ""}, en);
      same(closed.number.value, "1:30", "closed until then");
    }
    same(answered(waiting(), "look", ok(view("prequeued", {as_of: iso(at + 5000)})), at).roomAhead, 5000, "views tell it too");
  });
  check("outside: what one has to know before one joins", () => {
    const screen = (state, room = {}) => screenOf({...freshFan(), phase: "outside", status: {state, waiting: 2}}, at, at,
        {title: {en: "X"}, link: "", ...room}, en);
    same([screen("open").reason, screen("paused").reason === en("join_paused"), screen("paused").main.act], [null, true, "join"]);
    same([screen("open", {cookies: false}).main ?? null, screen("open", {cookies: false}).lead], [null, en("no_cookies")]);
    same(screenOf(endedAs(waiting(), "lapsed"), at, at, {title: {en: "X"}, link: ""}, en).title, "Your time to enter has passed – X");
  });
  check("turn, offer, door, inside", () => {
    const offered = answered(waiting(), "look", ok(view("offered", {offer_expires_at: iso(at + 30000)})), at + 50000);
    same([offered.phase, offered.offerEnds], ["offered", at + 80000], "by the room's clock");
    const held = answered(offered, "claim", {status: 202, body: view("offered", {poll_after_ms: 400, reason: "rate"}), again: 400}, at);
    same([held.phase, due(held, at)], ["holding", {at: at + 400 + slack, what: "claim"}]);
    same(due(restored(JSON.parse(JSON.stringify(keptOf(held))), at + 10), at + 10).what, "claim", "after a reload at the door");
    const inside = answered(held, "claim", ok(view("active", {session_expires_at: iso(at + 600000)})), at);
    same([inside.phase, inside.sessionEnds, keptOf(inside).phase], ["active", at + 600000, "active"]);
    same(due(hidden(inside, at), at), {at: at + 600300, what: "look"});
    same(due(inside, at), {at: at + activeEvery, what: "look"}, "it may be revoked");
    const near = answered(waiting(), "look", ok(view("offered", {offer_expires_at: iso(at + 30000)})), at);
    same(due(near, at), {at: at + offerEvery, what: "look"}, "it may be withdrawn");
    same(due(answered(near, "look", ok(view("offered", {offer_expires_at: iso(at + 3000)})), at), at).at, at + 3300, "its end");
    const later = at + 3600000, seen = phase => screenOf(phase, later, later, {title: {en: "X"}, link: ""}, en);
    same([seen(restored(keptOf(offered), later)), seen(restored(keptOf(inside), later))].map(s => [s.heading, s.main, s.title]),
         [[en("loading"), null, "X"], [en("loading"), null, "X"]], "of yesterday: until the room has spoken");
    same(over(offered, "expired").ended, "lapsed", "so long ago that the room knows only that it is over");
    same(answered(inside, "complete", {status: 204, body: null, again: null}, at).ended, "completed");
  });
  check("every end has words, and a way on", () => {
    for (const state of ["left", "lapsed", "expired", "revoked", "completed", "rejected", "abandoned"]) {
      const fan = over(freshFan(), state);
      const screen = screenOf(fan, at, at, {title: {en: "X"}, link: ""}, en);
      same([fan.phase, fan.ended, screen.heading !== "", screen.main.act], ["ended", state, true, state === "abandoned" ? "look" : "join"]);
    }
    same(over(waiting(), "expired").ended, "lost", "whose place was given up");
    same(over(waiting(), "revoked", 410).ended, "revoked", "over by 410");
    same(["epoch", "unknown_seat"].map(error => answered({...freshFan(), status: {state: "open"}}, "look", {status: 410, body: {error}, again: null}, at).phase),
         ["outside", "outside"], "who comes with a seat of yesterday is not told that it is lost");
    for (const [status, error, ended] of [[410, "epoch", "restarted"], [401, "forged", "restarted"], [410, "unknown_seat", "restarted"],
                                          [409, "bound_elsewhere", "elsewhere"]]) {
      same(answered(waiting(), "look", {status, body: {error}, again: null}, at).ended, ended);
    }
  });
  check("a lapsed seat that was given a new place goes on with that", () => {
    const offered = answered(waiting(), "look", ok(view("offered", {offer_expires_at: iso(at + 3000)})), at);
    const moved = answered(offered, "look", ok({...view("lapsed", {poll_after_ms: null}), token: "t"}), at);
    same([moved.phase, due(moved, at)], ["waiting", {at, what: "look"}]);
    const back = answered(moved, "look", ok(view("waiting", {position: 70})), at);
    same([back.start, back.notice.kind], [70, "requeued"]);
    same(answered(offered, "look", ok(view("waiting", {position: 1})), at).notice.kind, "requeued_front");
    same(noticeText(answered(waiting(), "look", ok(view("waiting", {position: 11})), at), ko),
         "앞에 계시던 분이 원래 자리로 돌아와 순번이 10번에서 11번으로 바뀌었습니다.");
  });
  check("the draw's seed is asked for until it is there", () => {
    const fan = answered({...waiting({poll_after_ms: 60000}), status: {commitment: "c", seed: null}, statusAt: at}, "look",
        ok(view("waiting", {position: 9, poll_after_ms: 60000})), at);
    same(due(fan, at), {at: at + outsideEvery, what: "status"});
    same(due({...fan, status: {commitment: "c", seed: "s"}}, at).what, "look");
  });
  check("joining may be refused", () => {
    const join = (status, error, again = null, more = {}) =>
      answered({...freshFan(), phase: "outside", status: {state: "open"}}, "join", {status, body: {error, ...more}, again}, at);
    same(join(503, "room_full", 4000).refusal, {kind: "full", until: at + 4000});
    same(join(429, "too_often", 2000).refusal.kind, "often");
    same([join(403, "rejected").ended, join(409, "duplicate").ended], ["rejected", "duplicate"]);
    same(join(423, "closed", null, {opens_at: null}).status.state, "closed");
    same(due(join(503, "store", 1500), at).what, "join", "tried again by itself");
    same([due(join(409, "in_progress", 1000), at).what, join(409, "in_progress", 1000).refusal], ["join", null], "the first try goes on");
  });
  check("tabs share what they hear", () => {
    const mine = waiting(), theirs = answered(waiting(), "look", ok(view("waiting", {position: 6})), at + 3000);
    const fan = overheard(mine, JSON.parse(JSON.stringify(keptOf(theirs))), at + 3001, 0.5);
    same([fan.view.position, due(fan, at).at], [6, at + 5000 + slack + 1500]);
    same(overheard(fan, keptOf(mine), at + 4000, 0).view.position, 6, "not what is older");
    const ahead = {...keptOf(theirs), seenAt: at + 3600000, notBefore: at + 3602000};
    same(due(overheard(mine, ahead, at + 4000, 0), at + 4000).at, at + 7000 + slack, "the clock was set between two tabs");
  });
  check("who is next is told to stay only while somebody is let in", () => {
    const lead = reason => screenOf(waiting({position: 1, reason}), at, at, {title: {en: "X"}, link: ""}, en).lead;
    same([null, "rate", "paused", "gate", "active", "store"].map(reason => lead(reason) !== ""), [true, true, false, false, false, false]);
  });
  check("with a stream nobody asks, unless it is silent", () => {
    same(due({...waiting(), stream: true}, at).at, at + silence);
    same(silence < 30000, true, "a stream that has died unseen must not cost the turn");
    const gone = {status: 0, body: null, again: null};
    const offer = ok(view("offered", {offer_expires_at: iso(at + 30000)}));
    const failed = answered(answered(waiting(), "look", offer, at), "claim", gone, at, 0.5);
    same(due(answered(failed, "look", offer, at + 10), at + 10), {at: at + 1000, what: "claim"}, "what a stream tells does not undo a wish");
    same(answered(failed, "look", ok(view("waiting", {position: 1})), at + 10).trouble, null, "unless there is nothing to wish for");
    same(answered(failed, "claim", offer, at + 10).trouble, null);
  });
  check("what is said aloud is not every step", () => {
    const fan = waiting();
    same(announcementOf(fan, at, en, {at: at - 40000, position: 11, left: null}).text, "You are number 10 in line.");
    same(announcementOf(fan, at, en, {at: at - 5000, position: 11, left: null}), null);
    const offered = answered(fan, "look", ok(view("offered", {offer_expires_at: iso(at + 9000)})), at);
    same(announcementOf(offered, at, en, {at, position: null, left: 30}).text, "9 seconds left to enter.");
    same(announcementOf(offered, at, en, {at, position: null, left: 10}), null);
  });
  return failures;
})()
