// The operator's page: signs in, asks for statistics every second while somebody looks, draws them, and does what is asked.
(() => {
  const $ = id => document.getElementById(id);
  const every = 1000, limitsEvery = 10;  // ms; times that
  const room = roomOfPage();
  const path = "/rooms/" + encodeURIComponent(room.name);
  const memory = "weir.operator.token", logMemory = "weir.operator.log." + room.name;

  let token = stored(memory), stats = null, seenAt = 0, history = [], signedIn = false, problem = null;
  let refused = false;   // what we have to show was
  let say = null, timer = 0, loop = 0, busy = false, pending = null, outcome = null, rounds = 0;
  let saidKey = null, log = [];
  let asked = 0, absent = false;
  const newest = {stats: 0, limits: 0};  // answers may overtake each other: figures that are older than those shown are not
  try {
    log = JSON.parse(stored(logMemory) ?? "[]").filter(e => e.action === "restarted" || words.en["act_" + e.action]);
  } catch { /* somebody else's */ }

  function stored(key) {
    try { return sessionStorage.getItem(key); } catch { return null; }
  }
  function store(key, text) {
    try { text === null ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, text); } catch { /* this page only */ }
  }
  function keep(text) {
    token = text;
    store(memory, text);
  }
  const credentials = () => token === null ? {} : {Authorization: "Bearer " + token};

  const charts = operatorCharts($("charts"));
  const limits = limitsForm({
    stats: () => stats, load: () => tell("GET", ""), save: body => tell("PUT", "", body), question, told});

  // What the server says.

  function problemOf(answer) {
    if (answer.status === 0) return say("no_answer");
    const code = answer.body?.error ?? "";
    return words.en["problem_" + code] ? say("problem_" + code) : answer.body?.message || code || "HTTP " + answer.status;
  }

  // The answer; null: somebody else has signed in or out meanwhile, or figures were overtaken. Who is not let in is asked for
  // a token.
  async function tell(method, end, body) {
    const n = ++asked, who = token, kind = end === "" ? "limits" : "stats";
    const answer = await ask(method, path + end, {headers: credentials(), body});
    if (token !== who) return null;
    if (n < newest[kind]) return method === "GET" ? null : answer;
    newest[kind] = n;
    heard(answer);
    return answer;
  }

  function heard(answer) {
    if (answer.status === 200 && answer.body?.totals) {
      stats = answer.body;
      seenAt = Date.now();
      signedIn = true;
      problem = null;
      const had = history.length;
      history = recorded(history, stats, clock() / 1000);
      if (had > 0 && history.length === 1) restarted();
    } else if (answer.status === 403 || (answer.status === 401 && answer.body?.error === undefined)) {  // not of a seat's token
      refused = token !== null;
      forget();
    }
  }
  function forget() {
    keep(null);
    signedIn = false;
    stats = null;
    history = [];
    seenAt = rounds = 0;
    limits.forget();
  }

  async function refresh() {
    clearTimeout(timer);
    const began = clock(), mine = ++loop;
    const answer = await tell("GET", "/stats");
    if (mine !== loop) return;  // asked again meanwhile
    if (answer === null) {
      if (token !== null || signedIn) refresh();  // an action was answered meanwhile
      return;
    }
    const stop = answer.status === 403 || answer.status === 401 || answer.status === 404;
    absent = answer.status === 404;
    if (absent) problem = () => say("absent_heading");
    else if (!stop && answer.status !== 200) {
      problem = () => seenAt === 0 ? problemOf(answer)
        : say("stats_failed", {time: timeWithSeconds(say, seenAt), problem: problemOf(answer)});
    }
    render();
    if (signedIn && rounds++ % limitsEvery === 0) limits.load().then(render);
    if (!stop && document.visibilityState !== "hidden") {
      timer = setTimeout(refresh, Math.max(answer.again ?? 0, every - (clock() - began), 100));
    }
  }

  async function act(action, body, detail = "") {
    if (busy) return null;
    busy = true;
    outcome = null;
    render();
    const answer = await tell("POST", "/" + action, body);
    busy = false;
    told(action, detail, answer);
    return answer;
  }
  // A server that has started again knows nothing of limits that were changed.
  function restarted() {
    const at = Date.now();
    outcome = {bad: true, text: () => say("log_restarted", {time: timeWithSeconds(say, at)})};
    written({at, action: "restarted"});
    limits.load().then(render);
  }

  // What became of an action is said, and written down.
  function told(action, detail, answer) {
    if (answer === null) return render();
    const bad = answer.status !== 200;
    outcome = {action, detail, bad, answer};
    written({at: Date.now(), action, detail, bad, problem: bad ? problemOf(answer) : ""});
    render();
  }
  function written(entry) {
    log = [entry, ...log].slice(0, 6);
    store(logMemory, JSON.stringify(log));
  }

  // The document.

  function verdict() {
    const v = verdictOf(stats, limits.limits(), history);
    const values = v.values.s === undefined ? v.values : {...v.values, time: inWords(say, v.values.s)};
    const text = say(v.key, values);
    $("verdict").dataset.tone = v.tone;
    if ($("verdict-text").textContent !== text) $("verdict-text").textContent = text;
    const held = stats.reason ?? "none";
    const more = ["moving", "stuck", "stuck_active", "full", "lapsing"].some(key => v.key === "verdict_" + key);
    $("held").textContent = !more || held === "none" || words.en["held_" + held] === undefined ? ""
      : say("held_" + held, {reason: held === "store" ? stats.store_error : stats.gate_reason});
    if (saidKey !== null && saidKey !== v.key) $("verdict-said").textContent = text;
    saidKey = v.key;
    const mark = problem !== null || v.tone === "bad" ? "⚠ " : v.tone === "look" ? "△ " : "";
    document.title = mark + say("title_operate", {n: stats.waiting, title: room.title[say.language]});
  }

  function tiles() {
    const {p50, p90} = stats.eta_at_end_s ?? {};
    const now = limits.limits(), rate = history.at(-1)?.enteredPerS;
    const oldest = Math.max(0, ...stats.lanes.map(l => l.oldest_wait_s));
    const of = (value, most) => most > 0 ? `${say.number(value)} / ${say.number(most)}` : say.number(value);
    const shown = [
      ["waiting", say.number(stats.waiting)], ["offered", say.number(stats.offered)],
      ["active", of(stats.active, now?.max_active)],
      ["rate", rate === null || rate === undefined ? "–" : say("rate", {n: rate})],
      ["eta", p50 !== undefined ? etaInWords(say, {p50, p90}) : say(isFree(stats) ? "eta_none" : "unknown")],
      ["oldest", stats.waiting > 0 ? inWords(say, oldest) : "–"],
      ["limits", now === null ? "–" : limitsInWords(say, now)], ["gate", `${say.number(Math.round(100 * stats.gate))} %`]];
    if (stats.store_error) shown.push(["store", stats.store_error]);
    fillPairs($("tiles"), shown.map(([name, value]) => [name, say("tile_" + name), value]), name => {
      const [label, value] = [tag("p", {className: "label"}), tag("p", {className: "value"})];
      return [tag("div", {className: "tile", id: "tile-" + name}, label, value), label, value];
    });
  }

  function actions() {
    const shown = actionsIn(stats.state);
    const as = JSON.stringify([shown, say.language]);
    if ($("actions").dataset.shows !== as) {
      $("actions").dataset.shows = as;
      const focused = document.activeElement?.dataset?.action;
      const made = shown.map((action, i) => {
        const b = tag("button", {type: "button", textContent: say("act_" + action),
                                 className: isDangerous(action) ? "plain danger" : i === 0 ? "main" : "plain"});
        b.dataset.action = action;
        b.addEventListener("click", () => wish(action));
        return b;
      });
      const first = made.findIndex(b => b.classList.contains("danger"));
      if (first > 0) made.splice(first, 0, tag("span", {className: "gap"}));
      $("actions").replaceChildren(...made);
      if (focused) ($("actions").querySelector(`[data-action="${focused}"]`) ?? $("actions").querySelector("button")).focus();
    }
    // Not disabled: that would take the focus from who has just pressed it.
    const all = document.querySelectorAll("#actions button, #advance-send, #revoke button");
    for (const b of all) b.setAttribute("aria-disabled", String(busy));
  }

  function render() {
    if (say === null) return;
    const title = room.title[say.language];
    $("heading").textContent = say("operate_heading", {title});
    $("fan-page").href = "/fan/" + encodeURIComponent(room.name);
    $("sign-in").hidden = signedIn || token !== null || absent;
    $("token-problem").textContent = refused ? say("token_wrong") : "";
    $("inside").hidden = !signedIn;
    $("inside").toggleAttribute("data-stale", problem !== null);
    $("forget").hidden = token === null || !signedIn;
    $("state").hidden = stats === null;
    $("trouble").hidden = problem === null;
    const trouble = problem === null ? "" : problem();
    if ($("trouble").textContent !== trouble) $("trouble").textContent = trouble;
    if (!signedIn || stats === null) {
      document.title = say("operate_heading", {title});
      return;
    }
    $("state").dataset.state = stats.state;
    $("state").textContent = say(words.en["state_" + stats.state] ? "state_" + stats.state : "state_unknown");
    verdict();
    tiles();
    actions();
    lately();
    totals();
    charts.draw(history);
  }

  const called = ({action, detail}) => detail ? `${say("act_" + action)} (${detail})` : say("act_" + action);
  function outcomeText() {
    if (outcome === null) return "";
    if (outcome.text) return outcome.text();
    const action = called(outcome);
    if (outcome.bad) return say("act_failed", {action, problem: problemOf(outcome.answer)});
    const waits = outcome.action === "advance" && ["paused", "closed", "prequeue"].includes(stats.state);
    return say("act_done", {action}) + (waits ? " " + say("advance_later") : "");
  }
  function lately() {
    const text = outcomeText();
    if ($("outcome").textContent !== text) $("outcome").textContent = text;
    $("outcome").toggleAttribute("data-bad", outcome?.bad ?? false);
    $("log-heading").hidden = log.length === 0;
    const lines = log.map(e => e.action === "restarted" ? say("log_restarted", {time: timeWithSeconds(say, e.at)})
      : say(e.bad ? "log_failed" : "log_done", {time: timeWithSeconds(say, e.at), action: called(e), problem: e.problem}));
    if ($("log").dataset.shows === JSON.stringify(lines)) return;
    $("log").dataset.shows = JSON.stringify(lines);
    $("log").replaceChildren(...lines.map(textContent => tag("li", {textContent})));
  }

  function totals() {
    const t = stats.totals;
    const shown = ["joined", "entered", "completed", "expired", "left", "abandoned", "rejoined", "lapsed", "revoked"]
      .map(name => [name, t[name]]);
    shown.push(["full", t.refused.full], ["polls", t.polls], ["early_polls", t.early_polls], ["jumped", t.jumped]);
    fillPairs($("totals"), shown.map(([name, value]) => [name, say("total_" + name), say.number(value)]), name => {
      const [term, detail] = [tag("dt"), tag("dd", {id: "total-" + name})];
      return [tag("div", {}, term, detail), term, detail];
    });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (say !== null) charts.speak(say);
    render();
  });

  // What the operator wants.

  // `asks()`: what is asked, in the language of now: {heading, text, yes, danger, items, warnings}; `does`: upon yes.
  function question(asks, does) {
    pending = {asks, does};
    shownQuestion();
    if (!$("question").open) $("question").showModal();
    $("question-no").focus();
  }
  function shownQuestion() {
    const {heading, text, yes, danger = false, items = [], warnings = []} = pending.asks();
    $("question-heading").textContent = heading;
    $("question-text").textContent = text;
    $("question-yes").textContent = yes;
    $("question-yes").classList.toggle("danger", danger);
    $("question-items").hidden = items.length === 0;
    $("question-items").replaceChildren(...items.map(([name, from, to]) =>
      tag("li", {}, `${name}: `, tag("s", {textContent: from}), " → ", tag("b", {textContent: to}))));
    $("question-warnings").hidden = warnings.length === 0;
    $("question-warnings").replaceChildren(...warnings.map(textContent => tag("li", {textContent})));
  }
  // Told a moment later, when the next question may be open already.
  $("question").addEventListener("close", () => { if (!$("question").open) pending = null; });
  $("question-no").addEventListener("click", () => $("question").close());
  $("question-yes").addEventListener("click", () => {
    const {does} = pending;
    $("question").close();
    does();
  });

  function wish(action, n) {
    if (busy) return;
    const body = action === "advance" ? {n} : undefined, detail = action === "advance" ? say.number(n) : "";
    if (!needsQuestion(action, n)) return act(action, body, detail);
    question(() => {
      const count = {n: action === "advance" ? n : stats?.waiting ?? 0};
      return {heading: say("ask_" + action, count), text: say(`ask_${action}_text`, count), yes: say("act_" + action),
              danger: isDangerous(action)};
    }, () => act(action, body, detail));
  }
  $("advance").addEventListener("submit", e => {
    e.preventDefault();
    const text = $("advance-n").value.replace(/[\s,]/g, ""), n = Number(text);
    if (!/^\d+$/.test(text) || n < 1 || n > 1e6) {
      outcome = {bad: true, text: () => say("advance_bad")};
      $("advance-n").setAttribute("aria-invalid", "true");
      return render();
    }
    $("advance-n").removeAttribute("aria-invalid");
    wish("advance", n);
  });

  const revokes = () => $("revoke-by").value;  // subject or token
  function revokeProblem(text) {
    $("revoke-problem").textContent = text;
    $("revoke-what").setAttribute("aria-invalid", String(text !== ""));
    if (text !== "") $("revoke-what").focus();
  }
  const revokeLabel = () => { $("revoke-label").textContent = say("revoke_" + revokes()); };
  $("revoke-by").addEventListener("change", () => {
    revokeLabel();
    revokeProblem("");
  });
  $("revoke").addEventListener("submit", e => {
    e.preventDefault();
    const by = revokes(), what = $("revoke-what").value.trim();
    if (what === "") return revokeProblem(say("revoke_empty"));
    revokeProblem("");
    const detail = by === "token" ? "…" + what.slice(-6) : what;  // tokens are not written down
    question(() => ({heading: say("ask_revoke", {who: detail}), text: say("ask_revoke_text"), yes: say("act_revoke"), danger: true}),
      async () => {
        const answer = await act("revoke", {[by]: what}, detail);
        if (answer?.status === 200) $("revoke-what").value = "";
        else if (answer) revokeProblem(problemOf(answer));
      });
  });

  $("sign-in").addEventListener("submit", e => {
    e.preventDefault();
    keep($("token").value.trim());
    refused = false;
    $("token").value = "";
    render();
    refresh();
  });
  $("forget").addEventListener("click", () => {
    forget();
    refused = false;
    problem = outcome = saidKey = null;
    log = [];
    store(logMemory, null);
    clearTimeout(timer);
    render();
    $("token").focus();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "hidden" && (signedIn || token !== null || problem !== null)) refresh();
  });

  languageSwitch(chosen => {
    say = chosen;
    charts.speak(say);
    limits.speak(say);
    revokeLabel();
    if (pending) shownQuestion();
    render();
  });
  refresh();
})();
