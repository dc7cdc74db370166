// The fan's page: puts the screen into the document, asks the room when it is time, and remembers across reloads.
(() => {
  const $ = id => document.getElementById(id);
  const room = {...roomOfPage(), cookies: navigator.cookieEnabled};
  const path = "/rooms/" + encodeURIComponent(room.name);
  const memory = "weir.fan." + room.name;
  const requests = {
    status: ["GET", "/status"], look: ["GET", "/ticket"], join: ["POST", "/tickets"], claim: ["POST", "/ticket/claim"],
    leave: ["DELETE", "/ticket"], complete: ["POST", "/session/complete"]};

  let fan = restored(recall(), clock());
  let say = null, timer = 0, ticks = 0, shownAs = null, joinKey = null, asked = null, wish = null, troubleSaid = null;
  let said = {at: clock(), position: null, left: null};

  function recall() {
    try { return JSON.parse(recalled(memory)); } catch { return null; }
  }

  function become(next) {
    const before = fan;
    fan = next;
    if (fan.view !== before.view || fan.phase !== before.phase) {
      const kept = keptOf(fan);
      if (kept || isLive(before.phase)) remember(memory, kept && JSON.stringify(kept));
    }
    if (fan.phase !== "loading" && fan.phase !== "outside" && fan.phase !== "ended") joinKey = null;
    render();
    schedule();
    listen();
  }

  function schedule() {
    clearTimeout(timer);
    const next = due(fan, clock());
    if (next === null) return;
    const wait = next.at - clock();
    // A timer may come too early, or be too long for the browser.
    timer = setTimeout(() => clock() >= next.at ? send(next.what) : schedule(), Math.min(Math.max(wait, 0), 2 ** 30));
  }

  // What the fan wants is not lost because the page is just asking.
  function want(what) {
    if (fan.busy) wish = what;
    else send(what);
  }

  async function send(what) {
    if (fan.busy) return;
    become({...fan, busy: what});
    const headers = {};
    if (what === "join") headers["Idempotency-Key"] = joinKey ??= randomKey();  // the same until the room has answered
    const [method, end] = requests[what];
    const answer = await ask(method, path + end, {headers});
    const answersJoin = answer.status !== 0 && answer.status < 500 && answer.body?.error !== "in_progress";
    if (what === "join" && answersJoin) joinKey = null;
    become(answered(fan, what, answer, clock(), Math.random()));
    const before = meanwhile;
    meanwhile = null;
    if (before && !(Date.parse(before.as_of) < Date.parse(fan.view?.as_of))) told(before);  // unless the answer is newer
    const next = wish;
    wish = null;
    if (next && next !== what) send(next);
  }

  // The room tells by itself, if the server can: as long as the stream is open there is no need to ask.
  let source = null, listensWithin = Infinity, listensAfter = 0, meanwhile = null;
  function told(body) {
    if (fan.busy) meanwhile = body;  // it is not told twice
    else if (isLive(fan.phase)) become(answered(fan, "look", {status: 200, body, again: askAgainAfter(body, null)}, clock()));
  }
  function listen() {
    const wanted = room.streams && fan.hiddenAt === null && (fan.phase === "waiting" || fan.phase === "offered");
    if (!wanted && source) hangUp();
    if (!wanted || source || clock() < listensAfter || (fan.view.position ?? 0) > listensWithin) return;
    source = new EventSource(path + "/ticket/stream");
    source.onopen = () => become({...fan, stream: true, trouble: wishes[fan.trouble?.what] ? fan.trouble : null});
    source.addEventListener("view", e => told(JSON.parse(e.data)));
    source.addEventListener("end", e => {
      listensAfter = JSON.parse(e.data).error === "replaced" ? Infinity : clock() + 30000;  // another tab listens; see "storage"
      hangUp();
    });
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {  // too far back, or too many listen
        listensWithin = (fan.view?.position ?? 0) / 2;
        listensAfter = clock() + 30000;
        hangUp();
      } else if (fan.stream) {
        become({...fan, stream: false});
      }
    };
  }
  function hangUp() {
    source?.close();
    source = null;
    if (fan.stream) become({...fan, stream: false});
  }

  // The document.

  function text(id, content) {
    const e = $(id);
    if (e.textContent !== (content ?? "")) e.textContent = content ?? "";
    e.hidden = !content;
  }

  function button(element, action) {
    element.hidden = !action;
    if (!action) return;
    if (element.textContent !== action.text) element.textContent = action.text;
    element.disabled = Boolean(action.disabled);
    element.onclick = () => action.ask ? question(action) : want(action.act);
  }

  function render() {
    if (say === null) return;
    const now = clock();
    const s = screenOf(fan, now, Date.now(), room, say);
    document.title = s.title;
    $("card").dataset.phase = fan.phase;
    $("card").dataset.tone = s.tone;
    $("card").setAttribute("aria-busy", String(fan.phase === "loading"));
    text("room-title", s.heading === room.title[say.language] ? "" : room.title[say.language]);
    text("heading", s.heading);
    text("lead", s.lead);
    text("notice", s.notice);
    text("trouble", s.trouble);
    text("count", s.count);
    text("reason", s.reason);
    $("reason").className = s.refused ? "trouble" : "reason";
    text("foot", s.foot);
    $("waits").hidden = !s.waits;
    $("number").hidden = !s.number;
    text("number-label", s.number?.label);
    text("number-value", s.number?.value);
    $("number-value").toggleAttribute("data-long", (s.number?.value.length ?? 0) > 7);
    s.number?.timer ? $("number-value").setAttribute("role", "timer") : $("number-value").removeAttribute("role");
    $("bar").hidden = !s.bar;
    if (s.bar) {
      $("progress").value = Math.round(100 * s.bar.share);
      $("progress").setAttribute("aria-label", say("progress"));
      text("progress-text", s.bar.text);
    }
    list("facts", s.facts, ([term, detail]) => [tag("dt", term), tag("dd", detail)]);
    list("steps", s.steps, step => [tag("li", step)]);
    button($("main-button"), s.main?.act ? s.main : null);
    $("main-link").hidden = !s.main?.link;
    if (s.main?.link) {
      $("main-link").href = s.main.link;
      text("main-link", s.main.text);
    }
    button($("quiet-button"), s.quiet);
    $("draw").hidden = !s.draw;
    if (s.draw) {
      text("commitment", s.draw.commitment);
      text("seed", s.draw.seed ?? say("draw_later"));
    }
    moveFocus();
    announce(now);
  }

  function tag(name, content) {
    const e = document.createElement(name);
    e.textContent = content;
    return e;
  }
  // Rebuilt only when it has changed: who selects text, or listens to it, is not disturbed.
  function list(id, entries, made) {
    const e = $(id), now = JSON.stringify(entries);
    e.hidden = entries.length === 0;
    if (e.dataset.shows === now) return;
    e.dataset.shows = now;
    e.replaceChildren(...entries.flatMap(made));
  }

  // When the screen becomes another one, who uses a keyboard or a screen reader begins at its heading.
  function moveFocus() {
    const as = fan.phase + (fan.ended ?? "");
    if (as === shownAs) return;
    const first = shownAs === null || shownAs === "loading";
    shownAs = as;
    if (asked) closeQuestion();
    if (!first) $("heading").focus({preventScroll: false});
  }

  function announce(now) {
    const words = announcementOf(fan, now, say, said);
    if (words) {
      said = {at: now, position: words.position, left: words.left};
      $("announcer").textContent = words.text;
    }
    const trouble = fan.trouble ? say(fan.trouble.kind) : null;
    if (trouble !== troubleSaid) {
      if (trouble || troubleSaid) $("announcer").textContent = trouble ?? say("online");
      troubleSaid = trouble;
    }
    if (fan.phase !== "offered") said.left = null;
  }

  function question(action) {
    asked = action;
    const [heading, body, yes, no] = action.ask;
    $("question-heading").textContent = say(heading);
    $("question-text").textContent = say(body);
    $("question-yes").textContent = say(yes);
    $("question-no").textContent = say(no);
    if (!$("question").open) $("question").showModal();
  }
  function closeQuestion() {
    asked = null;
    if ($("question").open) $("question").close();
  }
  $("question-no").addEventListener("click", closeQuestion);
  $("question-yes").addEventListener("click", () => {
    const {act} = asked;
    closeQuestion();
    want(act);
  });
  // Told a moment later, when the next question may be open already.
  $("question").addEventListener("close", () => { if (!$("question").open) asked = null; });

  // What the browser tells.

  function tick() {
    clearInterval(ticks);
    if (document.visibilityState !== "hidden") ticks = setInterval(render, 500);
  }
  document.addEventListener("visibilitychange", () => {
    become(document.visibilityState === "hidden" ? hidden(fan, clock()) : shown(fan, clock()));
    tick();
  });
  addEventListener("offline", () => become(offline(fan, clock())));
  addEventListener("online", () => become(online(fan, clock())));
  addEventListener("storage", e => {
    if (e.key !== memory) return;
    if (e.newValue === null) send("look");  // another tab has left
    else become(overheard(fan, recall(), clock(), Math.random()));
  });
  // As it was left, perhaps long ago: streams are closed by then, and other tabs were not heard.
  addEventListener("pageshow", e => {
    if (!e.persisted) return;
    hangUp();
    become(overheard(shown(fan, clock()), recall(), clock(), Math.random()));
  });

  languageSwitch(chosen => {
    say = chosen;
    $("facts").dataset.shows = $("steps").dataset.shows = "";
    if (asked) question(asked);
    render();
  });
  if (document.visibilityState === "hidden") fan = hidden(fan, clock());
  tick();
  if (!navigator.onLine) become(offline(fan, clock()));
  else if (fan.phase !== "loading") send("status");  // for what it says of the draw; the seat waits for its time
  else become(fan);
})();
