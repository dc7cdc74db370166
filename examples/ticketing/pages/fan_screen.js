// What a fan sees of it: one heading, one number, one thing to do. Pure.

// {tone, heading, lead, number {label, value}, bar {share, text}, facts [[term, text]], reason, steps, main, quiet, draw, foot,
// title}; `refused`: the reason is why one cannot go on; `main` and `quiet`: {act, text} or {link, text}.
function screenOf(fan, now, wall, room, say) {
  const title = room.title[say.language];
  const screen = {tone: "calm", heading: "", lead: "", number: null, bar: null, facts: [], reason: null, steps: [], main: null,
                  quiet: null, draw: null, foot: null, title};
  // What has ended long ago, and is remembered, is not shown: the room will say what has become of it.
  const ends = {offered: fan.offerEnds, active: fan.sessionEnds}[fan.phase] ?? null;
  const made = ends !== null && now - ends > 3000 ? {heading: say("loading"), waits: true}
    : (screens[fan.phase] ?? screens.loading)({fan, now, wall, room, say, title});
  Object.assign(screen, made);
  screen.notice = noticeText(fan, say);
  screen.trouble = troubleText(fan, now, wall, say);
  return screen;
}

const screens = {
  loading: ({fan, now, say}) => fan.notBefore - now > 2000  // its seat is known, but the room wants to be left alone
    ? {heading: say("soon_heading"), lead: say("soon_lead", {time: inWords(say, (fan.notBefore - now) / 1000)}), waits: true}
    : {heading: say("loading"), waits: true},

  absent: ({say}) => ({tone: "ended", heading: say("absent_heading"), lead: say("absent_lead"),
                       main: {link: "/", text: say("home")}}),

  outside({fan, now, wall, room, say, title}) {
    const status = fan.status ?? {};
    if (status.state === "closed" || status.state === "draining") {
      const opens = untilOpening(fan, now);
      return {
        heading: say("closed_heading"), lead: say("closed_lead"),
        number: opens > 0 ? {label: say("opens_in"), value: countdown(say, opens), timer: true} : null};
    }
    const main = {act: "join", text: say("join"), disabled: false};
    let reason = status.state === "paused" ? say("join_paused") : null, refused = false;
    if (room.cookies === false) return {heading: say("outside_heading", {title}), lead: say("no_cookies")};
    if (fan.refusal && fan.refusal.until > now) {
      const time = inWords(say, (fan.refusal.until - now) / 1000);
      reason = `${say(fan.refusal.kind)} ${say("again_in", {time})}`;
      main.disabled = refused = true;
    }
    if (fan.busy === "join" || fan.trouble?.what === "join") Object.assign(main, {text: say("joining"), disabled: true});
    if (status.state === "prequeue") {
      if (!main.disabled) main.text = say("early_join");
      return {heading: say("early_heading", {title}), lead: say("early_lead"), main, reason, draw: drawOf(fan),
              ...opening(fan, now, wall, say)};
    }
    const heading = say("outside_heading", {title});
    if (status.state === "passthrough") {
      if (!main.disabled) main.text = say("free");
      return {heading, lead: say("free_lead"), main, reason};
    }
    const waiting = status.waiting ?? 0;
    return {
      heading, lead: say(waiting > 0 ? "outside_lead" : "outside_idle"), main, reason,
      refused, count: waiting > 0 ? say("people_wait", {n: waiting}) : say("nobody_waits"),
      steps: refused ? [] : [say("step_join"), say("step_wait"), say("step_enter")]};
  },

  prequeued: ({fan, now, wall, say}) => ({
    heading: say("prequeued_heading"), lead: say("prequeued_lead"), draw: drawOf(fan), foot: say("keep_open"),
    reason: fan.view.reason === "not_open" ? null : reasonOf(fan, say), ...opening(fan, now, wall, say), quiet: leaving(say)}),

  waiting({fan, say, title}) {
    const {position, eta_s: eta, total_waiting: total} = fan.view;
    if (position === null) return {heading: say("waiting_heading"), lead: say("loading"), waits: true};
    const facts = [];
    if (eta && fan.view.eta_known !== false) facts.push([say("eta"), etaInWords(say, eta)]);
    facts.push([say("total"), say("people", {n: total})]);
    const start = Math.max(fan.start ?? position, position);
    const moves = ["none", "rate"].includes(fan.view.reason ?? "none");
    return {
      heading: position === 1 ? say("next_heading") : say("waiting_heading"),
      lead: position === 1 && moves ? say("next_lead") : "",
      number: {label: say("position"), value: say.number(position)},
      bar: start > 1 ? {share: (start - position) / (start - 1), text: say("progress_text", {start})} : null,
      facts, reason: reasonOf(fan, say), quiet: leaving(say), foot: say("keep_open"), draw: drawOf(fan),
      title: say("title_waiting", {n: position, title})};
  },

  offered: ({fan, now, say, title}) => ({
    tone: "turn", heading: say("offered_heading"), lead: say("offered_lead"),
    number: fan.offerEnds === null ? null : {label: say("offered_left"), value: countdown(say, fan.offerEnds - now), timer: true},
    main: {act: "claim", text: say(fan.busy === "claim" ? "entering" : "enter"), disabled: fan.busy === "claim"},
    quiet: leaving(say), title: say("title_turn", {title})}),

  holding: ({fan, say, title}) => ({
    tone: "turn", heading: say("holding_heading"), lead: say("holding_lead"), waits: true, reason: reasonOf(fan, say),
    title: say("title_turn", {title})}),

  active({fan, now, wall, room, say, title}) {
    const left = fan.sessionEnds === null ? null : fan.sessionEnds - now;
    return {
      tone: "inside", heading: say("active_heading"),
      lead: left === null ? say("active_lead_open") : say("active_lead", {time: timeOfDay(say, wall + left, wall)}),
      number: left === null ? null : {label: say("active_left"), value: countdown(say, left), timer: true},
      main: room.link ? {link: room.link, text: say("go_on", {title})} : null,
      quiet: {act: "complete", text: say("done"), ask: ["done_question", "done_text", "done_yes", "done_no"]}};
  },

  ended({fan, say, title}) {
    const act = fan.ended === "abandoned" ? {act: "look", text: say("take_back")} : {act: "join", text: say("rejoin")};
    if (fan.busy === "join" || fan.trouble?.what === "join") Object.assign(act, {text: say("joining"), disabled: true});
    const heading = say(fan.ended + "_heading");
    return {tone: "ended", heading, lead: say(fan.ended + "_lead"), title: `${heading} – ${title}`,
            main: fan.ended === "duplicate" ? null : act};
  },
};

const leaving = say => ({act: "leave", text: say("leave"), ask: ["leave_question", "leave_text", "leave_yes", "leave_no"]});

function reasonOf(fan, say) {
  const {reason, position} = fan.view;
  if (!reason || reason === "none" || (position === 1 && reason === "rate")) return null;
  return words.en["why_" + reason] ? say("why_" + reason) : null;
}

function opening(fan, now, wall, say) {
  const left = untilOpening(fan, now);
  if (left === null) return {};
  if (left <= 0) return {lead: say("drawing"), waits: true};
  return {number: {label: say("opens_in"), value: countdown(say, left), timer: true},
          facts: [["", say("opens_at", {time: timeOfDay(say, Date.parse(fan.status.opens_at), wall)})]]};
}

function drawOf(fan) {
  return fan.status?.commitment ? {commitment: fan.status.commitment, seed: fan.status.seed ?? null} : null;
}

function noticeText(fan, say) {
  const n = fan.notice;
  return n && say(n.kind, {...n, time: n.ms === undefined ? "" : inWords(say, n.ms / 1000)});
}

function troubleText(fan, now, wall, say) {
  const t = fan.trouble;
  if (!t) return null;
  const parts = [say(t.kind)];
  if (isInLine(fan.phase) || fan.phase === "active") parts.push(  // an offer runs out
      say("kept_as_of", {time: timeWithSeconds(say, wall - (now - fan.seenAt))}));
  parts.push(fan.busy ? say("retrying") : say("retry_in", {time: inWords(say, (t.retryAt - now) / 1000)}));
  return parts.join(" ");
}

// What is said aloud to who does not see the page: not every step. `last`: {at, position, left}, of what was said before.
function announcementOf(fan, now, say, last) {
  if (fan.phase === "waiting" && fan.view.position !== null && fan.view.position !== last.position &&
      now - last.at >= 30000) {
    const eta = fan.view.eta_s ? " " + say("say_eta", {time: etaInWords(say, fan.view.eta_s)}) : "";
    return {text: say("say_position", {n: fan.view.position}) + eta, position: fan.view.position, left: null};
  }
  if (fan.phase === "offered" && fan.offerEnds !== null) {
    const left = (fan.offerEnds - now) / 1000;
    const mark = [10, 30].find(m => left > 0 && left <= m);  // said once each
    if (mark !== undefined && !(last.left !== null && last.left <= mark)) {
      return {text: say("say_left", {time: inWords(say, left)}), position: null, left: mark};
    }
  }
  return null;
}
