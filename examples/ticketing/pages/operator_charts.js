// The charts of an operator's page, within the element `host`: speak(say), then draw(history).
function operatorCharts(host) {
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
  let charts = [], say = null;

  const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function build() {
    for (const c of charts) c.destroy();
    host.replaceChildren();
    charts = plans.map(plan => {
      const canvas = tag("canvas");
      canvas.setAttribute("role", "img");
      host.append(tag("figure", {id: "chart-" + plan.name}, tag("h3", {textContent: say("chart_" + plan.name)}),
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

  function draw(history) {
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
  // In another language, or in other colors.
  function speak(chosen) {
    say = chosen;
    if (charts.length > 0) build();
  }
  return {draw, speak};
}
