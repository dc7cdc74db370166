// The operator's page: signs in, asks for statistics every second while somebody looks, draws them, and does what is asked.
(() => {
  const $ = id => document.getElementById(id);
  const every = 1000;
  const room = roomOfPage();
  const path = "/rooms/" + encodeURIComponent(room.name);
  const memory = "weir.operator.token";

  let token = stored(), stats = null, seenAt = 0, history = [], signedIn = false, problem = null, tried = false;
  let say = null, timer = 0, asking = false, busy = false, pending = null, outcome = null;
  let charts = [];

  function stored() {
    try { return sessionStorage.getItem(memory); } catch { return null; }
  }
  function keep(text) {
    token = text;
    try { text === null ? sessionStorage.removeItem(memory) : sessionStorage.setItem(memory, text); } catch { /* this page only */ }
  }
  const credentials = () => token === null ? {} : {Authorization: "Bearer " + token};

  function tag(name, values = {}, ...children) {
    const e = Object.assign(document.createElement(name), values);
    e.append(...children);
    return e;
  }

  // What the server says.

  function problemOf(answer) {
    return answer.status === 0 ? say("no_answer") : answer.body?.message ?? answer.body?.error ?? "HTTP " + answer.status;
  }

  function heard(answer) {
    if (answer.status === 200 && answer.body?.totals) {
      stats = answer.body;
      seenAt = Date.now();
      signedIn = true;
      problem = null;
      history = recorded(history, stats, clock() / 1000);
    } else if (answer.status === 403 || answer.status === 401) {
      signedIn = false;
      history = [];
      stats = null;
      $("token-problem").textContent = token === null || !tried ? "" : say("token_wrong");
      keep(null);
    } else if (answer.status === 404) {
      problem = () => say("absent_heading");
    } else {
      problem = () => seenAt === 0 ? problemOf(answer)
        : say("stats_failed", {time: timeWithSeconds(say, seenAt), problem: problemOf(answer)});
    }
  }

  async function refresh() {
    clearTimeout(timer);
    if (asking) return;
    asking = true;
    const began = clock();
    const answer = await ask("GET", path + "/stats", {headers: credentials()});
    asking = false;
    heard(answer);
    render();
    const stop = answer.status === 403 || answer.status === 401 || answer.status === 404;
    if (!stop && document.visibilityState !== "hidden") {
      timer = setTimeout(refresh, Math.max(answer.again ?? 0, every - (clock() - began), 100));
    }
  }

  async function act(action, n) {
    busy = true;
    outcome = null;
    render();
    const answer = await ask("POST", `${path}/${action}`,
        {headers: credentials(), ...(action === "advance" ? {body: {n}} : {})});
    busy = false;
    outcome = {action, bad: answer.status !== 200, answer};
    if (answer.status === 200 || answer.status === 403) heard(answer);
    render();
  }

  // The document.

  function tiles() {
    const {p50, p90} = stats.eta_at_end_s ?? {};
    const gate = stats.gate < 1 ? `${say.number(Math.round(100 * stats.gate))} %` : "100 %";
    const rate = history.at(-1)?.enteredPerS;
    const shown = [
      ["waiting", say.number(stats.waiting)], ["offered", say.number(stats.offered)], ["active", say.number(stats.active)],
      ["rate", rate === null || rate === undefined ? "–" : say("rate", {n: rate})],
      ["eta", p50 === undefined ? say("unknown") : etaInWords(say, {p50, p90})], ["gate", gate]];
    if (stats.store_error) shown.push(["store", stats.store_error]);
    $("tiles").replaceChildren(...shown.map(([name, value]) => tag("div", {className: "tile", id: "tile-" + name},
        tag("p", {className: "label", textContent: say("tile_" + name)}), tag("p", {className: "value", textContent: value}))));
  }

  function actions() {
    const shown = actionsIn(stats.state);
    const as = JSON.stringify([shown, busy, say.language]);
    if ($("actions").dataset.shows === as) return;
    $("actions").dataset.shows = as;
    const focused = document.activeElement?.dataset?.action;
    const made = shown.map((action, i) => {
      const b = tag("button", {type: "button", disabled: busy, textContent: say("act_" + action),
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

  function render() {
    if (say === null) return;
    const title = room.title[say.language];
    document.title = say("operate_heading", {title});
    $("heading").textContent = say("operate_heading", {title});
    $("fan-page").href = "/fan/" + encodeURIComponent(room.name);
    $("sign-in").hidden = signedIn || (seenAt === 0 && !tried && problem === null && token !== null);
    $("inside").hidden = !signedIn;
    $("forget").hidden = token === null || !signedIn;
    $("state").hidden = stats === null;
    $("trouble").hidden = problem === null;
    $("trouble").textContent = problem === null ? "" : problem();
    if (!signedIn || stats === null) return;
    $("state").dataset.state = stats.state;
    $("state").textContent = say(words.en["state_" + stats.state] ? "state_" + stats.state : "state_unknown");
    const held = stats.reason ?? "none";
    $("held").textContent =
        say(words.en["held_" + held] ? "held_" + held : "held_none", {reason: held === "store" ? stats.store_error : stats.gate_reason});
    tiles();
    actions();
    $("advance-send").disabled = busy;
    $("outcome").textContent = outcome === null ? "" : outcome.text ?? (outcome.bad
      ? say("act_failed", {action: say("act_" + outcome.action), problem: problemOf(outcome.answer)})
      : say("act_done", {action: say("act_" + outcome.action)}));
    $("outcome").toggleAttribute("data-bad", outcome?.bad ?? false);
    totals();
    draw();
  }

  function totals() {
    const t = stats.totals;
    const names = ["joined", "entered", "completed", "expired", "left", "abandoned", "rejoined", "lapsed", "revoked", "polls",
                   "early_polls", "jumped"];
    $("totals").replaceChildren(...names.map(name => tag("div", {}, tag("dt", {textContent: say("total_" + name)}),
        tag("dd", {id: "total-" + name, textContent: say.number(t[name])}))));
  }

  // The charts.

  const held = heldReasons.slice(1);
  const plans = [
    {name: "waiting", lines: [["series_waiting", p => p.waiting]], fill: true},
    {name: "let_in", lines: [["series_entered", p => p.enteredPerS]], fill: true},
    {name: "active", lines: [["series_active", p => p.active], ["series_offered", p => p.offered]]},
    {name: "eta", lines: [["series_eta", p => p.etaError]], suggestedMax: 2},
    {name: "polls", lines: [["series_polls", p => p.pollsPerS], ["series_early", p => p.earlyPerS]]},
    {name: "held", lines: held.map(reason => ["held_short_" + reason, p => p.heldShares[heldReasons.indexOf(reason)]]),
     max: 1, stacked: true},
  ];
  const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function build() {
    for (const c of charts) c.destroy();
    $("charts").replaceChildren();
    charts = plans.map(plan => {
      const canvas = tag("canvas");
      canvas.setAttribute("role", "img");
      $("charts").append(tag("figure", {id: "chart-" + plan.name}, tag("h3", {textContent: say("chart_" + plan.name)}),
          tag("figcaption", {textContent: say(`chart_${plan.name}_note`)}), tag("div", {className: "plot"}, canvas)));
      const axis = more => ({grid: {color: color("line"), borderColor: color("line")}, ticks: {color: color("soft"), ...more}});
      return new Chart(canvas, {
        type: "line",
        data: {datasets: plan.lines.map(([name], i) => ({
          label: say(name), data: [], borderColor: color("series-" + (i + 1)), borderWidth: 2, pointRadius: 0, tension: 0,
          backgroundColor: Chart.helpers.color(color("series-" + (i + 1))).alpha(plan.stacked ? 0.55 : 0.15).rgbString(),
          fill: plan.stacked ? (i === 0 ? "origin" : "-1") : plan.fill ? "origin" : false}))},
        options: {
          animation: false, responsive: true, maintainAspectRatio: false, normalized: true, parsing: false,
          interaction: {mode: "nearest", axis: "x", intersect: false}, locale: say.language,
          scales: {
            x: {type: "linear", max: 0, ...axis({
              maxRotation: 0, stepSize: 60, callback: v => v === 0 ? say("now") : v % 60 === 0 ? "−" + say("minutes", {n: -v / 60}) : ""})},
            y: {beginAtZero: true, stacked: Boolean(plan.stacked), max: plan.max, suggestedMax: plan.suggestedMax ?? 1,
                ...axis({maxTicksLimit: 5, precision: plan.name === "waiting" || plan.name === "active" ? 0 : undefined})}},
          plugins: {
            legend: {display: plan.lines.length > 1, align: "start", labels: {color: color("ink"), boxWidth: 12, boxHeight: 12, padding: 10}},
            tooltip: {callbacks: {title: items => items.length ? inWords(say, -items[0].parsed.x) : ""}}},
        }});
    });
  }

  function draw() {
    if (charts.length === 0) build();
    const longest = history.at(-1).at - history[0].at;
    const span = longest <= 60 ? 60 : longest <= 120 ? 120 : kept;
    charts.forEach((chart, i) => {
      plans[i].lines.forEach(([, value], k) => { chart.data.datasets[k].data = pointsOf(history, value); });
      chart.options.scales.x.min = -span;
      chart.update("none");
      const latest = plans[i].lines.map(([name, value]) => {
        const last = value(history.at(-1));
        return `${say(name)} ${last === null ? "–" : say.number(last)}`;
      });
      chart.canvas.setAttribute("aria-label", `${say("chart_" + plans[i].name)}: ${latest.join(", ")}`);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (charts.length > 0) build();
    render();
  });

  // What the operator wants.

  function wish(action, n) {
    if (!needsQuestion(action, n)) return act(action, n);
    pending = {action, n};
    ask_();
  }
  function ask_() {
    const {action, n} = pending;
    const count = action === "advance" ? n : stats?.waiting ?? 0;
    $("question-heading").textContent = say("ask_" + action, {n: count});
    $("question-text").textContent = say(`ask_${action}_text`, {n: count});
    $("question-yes").textContent = say("act_" + action);
    $("question-yes").classList.toggle("danger", isDangerous(action));
    if (!$("question").open) $("question").showModal();
    $("question-no").focus();
  }
  $("question").addEventListener("close", () => { pending = null; });
  $("question-no").addEventListener("click", () => $("question").close());
  $("question-yes").addEventListener("click", () => {
    const {action, n} = pending;
    $("question").close();
    act(action, n);
  });
  $("advance").addEventListener("submit", e => {
    e.preventDefault();
    const text = $("advance-n").value.trim();
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < 1 || n > 1e6) {
      outcome = {bad: true, text: say("advance_bad")};
      $("advance-n").setAttribute("aria-invalid", "true");
      render();
      return;
    }
    $("advance-n").removeAttribute("aria-invalid");
    wish("advance", n);
  });
  $("sign-in").addEventListener("submit", e => {
    e.preventDefault();
    keep($("token").value.trim());
    tried = true;
    $("token").value = "";
    refresh();
  });
  $("forget").addEventListener("click", () => {
    keep(null);
    tried = signedIn = false;
    stats = null;
    history = [];
    seenAt = 0;
    clearTimeout(timer);
    $("token-problem").textContent = "";
    render();
    $("token").focus();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "hidden" && signedIn) refresh();
  });

  languageSwitch(chosen => {
    say = chosen;
    if (charts.length > 0) build();
    if (pending) ask_();
    render();
  });
  refresh();
})();
