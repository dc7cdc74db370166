"use strict";
// Draws the charts of the page from the JSON in #data; the tables are in the HTML already.
(() => {
  const report = JSON.parse(document.getElementById("data").textContent);
  const runs = report.runs;
  // Not Math.max(...values): a run of an hour has more values than a call may have arguments.
  const least = values => values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = values => values.reduce((a, b) => Math.max(a, b), -Infinity);
  const seconds = Math.max(1, ...runs.map(run => run.intended.length));
  const place = document.getElementById("charts");
  let drawn = [];  // of one colour scheme: {destroy()}

  const css = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const faint = (color, share) => Chart.helpers.color(color).alpha(share).rgbString();
  const trimmed = value => String(Number(value.toPrecision(3)));
  const time = ms => ms < 1 ? trimmed(ms * 1000) + " µs" : ms < 1000 ? trimmed(ms) + " ms" : trimmed(ms / 1000) + " s";
  const points = values => values.map((y, second) => ({x: second + 0.5, y}));
  // Each value holds for its second; the end of the last one is a point too.
  const steps = values => [...values.map((y, second) => ({x: second, y})), {x: values.length, y: values.at(-1), end: true}];
  // One run may have taken longer to drain: what lies beyond the shorter one counts as nothing.
  const same = (a, b) => Array.from({length: seconds}, (_, i) => (a[i] ?? 0) === (b[i] ?? 0)).every(Boolean);
  const spans = runs[0].overload;

  function canvasIn(id, title, note, wide) {
    const figure = document.createElement("figure");
    figure.id = id;
    if (wide) figure.className = "wide";
    const heading = document.createElement("h2");
    heading.textContent = title;
    const caption = document.createElement("figcaption");
    caption.textContent = note;
    const plot = document.createElement("div");
    plot.className = "plot";
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", title + ". " + note);
    plot.append(canvas);
    figure.append(heading, caption, plot);
    place.append(figure);
    return canvas;
  }

  // Behind the lines: the seconds of overload. On top: limits, each with its name.
  const backdrop = {
    id: "backdrop",
    beforeDatasetsDraw(chart, _, {spans = []}) {
      const {ctx, chartArea: area, scales: {x}} = chart;
      ctx.save();
      ctx.fillStyle = css("shade");
      for (const [from, to] of spans) {
        const left = Math.max(area.left, x.getPixelForValue(from)), right = Math.min(area.right, x.getPixelForValue(to));
        ctx.fillRect(left, area.top, right - left, area.bottom - area.top);
      }
      if (spans.length > 0) {
        ctx.fillStyle = css("soft");
        ctx.font = "11px system-ui, sans-serif";
        ctx.textBaseline = "top";
        ctx.fillText("overload", Math.max(area.left, x.getPixelForValue(spans[0][0])) + 4, area.top + 3);
      }
      ctx.restore();
    },
    afterDatasetsDraw(chart, _, {limits = []}) {
      const {ctx, chartArea: area, scales: {y}} = chart;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = css("limit");
      ctx.font = "600 12px system-ui, sans-serif";
      ctx.textAlign = "right";
      ctx.textBaseline = "bottom";
      ctx.setLineDash([5, 4]);
      for (const {value, name} of limits) {
        const at = y.getPixelForValue(value);
        if (!(at >= area.top && at <= area.bottom)) continue;
        ctx.beginPath();
        ctx.moveTo(area.left, at);
        ctx.lineTo(area.right, at);
        ctx.stroke();
        ctx.lineWidth = 3;
        ctx.strokeStyle = css("card");
        ctx.setLineDash([]);
        ctx.strokeText(name, area.right - 4, at - 2);
        ctx.fillText(name, area.right - 4, at - 2);
        ctx.lineWidth = 1;
        ctx.strokeStyle = css("limit");
        ctx.setLineDash([5, 4]);
      }
      ctx.restore();
    },
  };

  // A lone second between two without data has no line: it gets a dot.
  const lone = ({dataset: {data}, dataIndex: i}) =>
      data[i]?.y != null && data[i - 1]?.y == null && data[i + 1]?.y == null ? 2 : 0;
  const line = (label, data, color, more) => ({
    label, data, borderColor: color, backgroundColor: color, borderWidth: 2.5, pointRadius: lone, pointHitRadius: 6,
    pointStyle: "line", ...more});
  const axis = (text, more) => ({
    title: {display: true, text, color: css("soft")}, grid: {color: css("line"), borderColor: css("line")},
    ticks: {color: css("soft"), maxRotation: 0}, ...more});
  const timeAxis = () => axis("time since the start (s)", {type: "linear", min: 0, max: seconds});
  // From and to a 1, 2 or 5 of some decade, around the values and the limits.
  function latencyAxis(values) {
    const ms = values.filter(value => value > 0);
    const steps = [];
    for (let decade = 1e-4; decade < 1e9; decade *= 10) steps.push(decade, 2 * decade, 5 * decade);
    const min = steps.filter(step => step <= least(ms) * 0.95).pop();
    const max = steps.find(step => step >= most(ms) * 1.05);
    const rounded = value => /^[125]\.0*e/.test(value.toExponential(3));
    return axis("latency (log)", {
      type: "logarithmic", min, max,
      ticks: {color: css("soft"), maxTicksLimit: 9, callback: value => rounded(value) ? time(value) : ""}});
  }

  function chart(canvas, datasets, scales, options = {}) {
    drawn.push(new Chart(canvas, {
      type: "line", data: {datasets}, plugins: [backdrop],
      options: {
        responsive: true, maintainAspectRatio: false, animation: false, scales,
        interaction: {mode: "index", intersect: false},
        plugins: {
          backdrop: {spans, ...options.backdrop},
          legend: {align: "start", labels: {
            color: css("ink"), usePointStyle: true, boxWidth: 22, padding: 12,
            filter: item => !/: p(50|99)$/.test(item.text)}},
          tooltip: {filter: item => item.parsed.y !== null && !item.raw.end, callbacks: {
            title: items => items.length ? "second " + Math.floor(items[0].parsed.x) : "",
            label: item => `${item.dataset.label}: ${trimmed(item.parsed.y)}`, ...options.tooltip}},
        },
      }}));
  }

  function served() {
    const datasets = runs.map(
        (run, i) => line(`${run.label}: served in time`, points(run.goodput), css("run" + i), {borderWidth: 3}));
    runs.forEach((run, i) => {
      if (!same(run.started, run.intended)) {
        datasets.push(line(`${run.label}: started`, points(run.started), css("run" + i), {
          borderWidth: 1.2, borderDash: [3, 3]}));
      }
    });
    runs.forEach((run, i) => {
      if (i > 0 && same(run.intended, runs[0].intended)) return;
      datasets.push(line(i === 0 ? "asked for (intended)" : `${run.label}: asked for (intended)`, steps(run.intended),
          css("offered"), {borderWidth: 1.5, borderDash: i === 0 ? [] : [6, 3], fill: i === 0 ? "origin" : false,
            backgroundColor: faint(css("offered"), 0.16), stepped: true}));
    });
    const allStarted = runs.every(run => same(run.started, run.intended));
    const limits = runs[0].capacity > 0
        ? [{value: runs[0].capacity, name: `the machine can do ${trimmed(runs[0].capacity)}/s`}] : [];
    // The load may be many times what any server could do; its height must not press the answer flat.
    const asked = most(runs.flatMap(run => run.intended));
    const answered = Math.max(1, runs[0].capacity, most(runs.flatMap(run => run.goodput)));
    const cut = asked > 3 * answered;
    const y = axis("journeys per second", {beginAtZero: true, ...(cut ? {max: Math.ceil(answered * 0.25) * 10} : {})});
    chart(canvasIn("chart-served", "How many were served in time, of those who asked",
              (runs[0].slo_ms > 0 ? `In time: within ${time(runs[0].slo_ms)} of the moment the user wanted it. ` : "") +
              (cut ? `The load climbs out of the picture, to ${asked} per second.` : "") +
              (allStarted ? " Every intended journey was started." : ""), true),
          datasets, {x: timeAxis(), y}, {backdrop: {limits}});
  }

  const outcomes = {
    good: "good: in time", slow: "slow: right but late", rejected: "rejected: told to come back", timeout: "timed out",
    error: "error", broken: "broken connection"};

  function fates() {
    const highest = Math.max(1, most(runs.flatMap(run => run.intended.map(
        (_, s) => Object.keys(outcomes).reduce((sum, name) => sum + run.outcomes[name][s], 0)))));
    for (const [i, run] of runs.entries()) {
      const datasets = Object.keys(outcomes)
          .filter(name => runs.some(r => r.outcomes[name].some(count => count > 0)))
          .map((name, at) => ({
            label: outcomes[name], data: steps(run.outcomes[name]), backgroundColor: faint(css("outcome-" + name), 0.85),
            borderWidth: 0, fill: at === 0 ? "origin" : "-1", pointRadius: 0, stepped: true, pointStyle: "rect"}));
      chart(canvasIn("chart-outcomes-" + i, `${run.label}: what became of the calls`,
                `${run.slo_step ? `Calls of the step ${run.slo_step}` : "Calls"}, by the second in which they were wanted.`),
            datasets, {x: timeAxis(), y: axis("calls per second", {stacked: true, min: 0, suggestedMax: highest})});
    }
  }

  // A line for p95, a band from p50 to p99.
  function percentileLines(of) {
    return runs.flatMap((run, i) => {
      const color = css("run" + i), band = faint(color, 0.18);
      return [
        line(`${run.label}: p95`, points(run[of].p95), color),
        line(`${run.label}: p50`, points(run[of].p50), faint(color, 0.75), {borderWidth: 1, borderDash: [2, 2]}),
        line(`${run.label}: p99`, points(run[of].p99), faint(color, 0.75), {
          borderWidth: 1, fill: "-1", backgroundColor: band}),
      ];
    });
  }

  function latencies(of, id, title, note, limits) {
    if (!runs.some(run => run[of].p50.some(ms => ms !== null))) return;
    const percent = {p50: 50, p95: 95, p99: 99};
    chart(canvasIn(id, title, note), percentileLines(of), {
      x: timeAxis(),
      y: latencyAxis([...runs.flatMap(run => [...run[of].p50, ...run[of].p99]), ...limits.map(limit => limit.value)])}, {
      backdrop: {limits},
      tooltip: {label: item => {
        const from = runs[Math.floor(item.datasetIndex / 3)][of].censored_from[item.dataIndex];
        const atLeast = from > 0 && percent[item.dataset.label.slice(-3)] > from;
        return `${item.dataset.label}: ${atLeast ? "≥ " : ""}${time(item.parsed.y)}`;
      }}});
  }

  function curves() {
    const nines = percent => -Math.log10(1 - percent / 100);
    const datasets = runs.flatMap((run, i) => [
      line(`${run.label}: admitted`, run.curve.map(([p, y, atLeast]) => ({x: nines(p), y, p, atLeast})), css("run" + i)),
      line(`${run.label}: rejected`, run.rejected_curve.map(([p, y, atLeast]) => ({x: nines(p), y, p, atLeast})),
           css("run" + i), {borderWidth: 1.5, borderDash: [4, 3]}),
    ]).filter(set => set.data.length > 0);
    if (datasets.length === 0) return;
    const marks = [0, 50, 75, 90, 95, 99, 99.9, 99.99];
    const end = Math.max(1, ...datasets.flatMap(set => set.data.map(point => point.x)));
    const x = axis("percentile of calls", {
      type: "linear", min: 0, max: end,
      afterBuildTicks: scale => { scale.ticks = marks.filter(p => nines(p) <= end).map(p => ({value: nines(p)})); },
      ticks: {color: css("soft"), maxRotation: 0, autoSkip: false, callback: value => trimmedPercent(value)}});
    chart(canvasIn("chart-curve", "How long the slowest had to wait",
              "Latency that this share of the calls stays below; a flat end at the time-out is a lower bound."),
          datasets, {x, y: latencyAxis(datasets.flatMap(set => set.data.map(point => point.y)))}, {
            backdrop: {spans: [], limits: sloLimit()},
            tooltip: {title: items => items.length ? `${items[0].raw.p} % of calls` : "",
                      label: item => `${item.dataset.label}: ${item.raw.atLeast ? "≥ " : ""}${time(item.raw.y)}`}});
  }
  const trimmedPercent = nines => Number((100 * (1 - Math.pow(10, -nines))).toFixed(2)) + " %";
  const sloLimit = () => runs[0].slo_ms > 0 ? [{value: runs[0].slo_ms, name: `SLO ${time(runs[0].slo_ms)}`}] : [];

  function heatmaps() {
    const cells = runs.flatMap(run => run.heatmap);
    if (cells.length === 0) return;
    const perDecade = report.rows_per_decade;
    const rowOf = ms => perDecade * Math.log10(ms / report.first_row_ms);
    const first = Math.max(0, least(cells.map(cell => cell[1])) - 1);
    const end = Math.max(most(cells.map(cell => cell[1])), Math.ceil(rowOf(Math.max(1, runs[0].slo_ms)))) + 2;
    const fullest = most(cells.map(cell => cell[2]));
    const rgb = name => { const {r, g, b} = Chart.helpers.color(css(name))._rgb; return [r, g, b]; };
    for (const [i, run] of runs.entries()) {
      const note = `Answered or timed-out calls; the stronger the colour, the more (at most ${fullest} in a cell).`;
      const canvas = canvasIn("chart-heatmap-" + i, `${run.label}: where the latencies lie`, note);
      const draw = () => canvas.clientWidth > 0 ? drawHeatmap(canvas, {
        cells: run.heatmap, seconds, rows: [first, end], rowOf, most: fullest,
        rowMs: row => report.first_row_ms * 10 ** (row / perDecade),
        low: rgb("heat-low"), high: rgb("heat-high"), ink: css("ink"), soft: css("soft"), line: css("line"), shade: css("shade"),
        spans, slo: run.slo_ms, format: time}) : () => "";
      let under = draw();
      canvas.onmousemove = event => { canvas.title = under(event.offsetX, event.offsetY); };
      const resized = new ResizeObserver(() => { under = draw(); });
      resized.observe(canvas);
      drawn.push({destroy: () => resized.disconnect()});
    }
  }

  function draw() {
    for (const old of drawn) old.destroy();
    drawn = [];
    place.replaceChildren();
    served();
    fates();
    const censored = Math.max(...runs.map(run => run.censored_at_ms));
    latencies("admitted", "chart-latency", "How long the admitted waited",
              "Line: p95; band: from p50 to p99 of the calls that ended in that second." +
              (censored > 0 ? ` At ${time(censored)} the client gave up: values there are lower bounds.` : ""), sloLimit());
    curves();
    heatmaps();
    latencies("rejected", "chart-rejections", "How quickly the server says no",
              "From sending the request to 429 or 503. Line: p95; band: from p50 to p99.", []);
    chart(canvasIn("chart-in-flight", "How many were waiting at once", "Journeys begun and not yet ended, at the end of each second."),
          runs.map((run, i) => line(run.label, points(run.in_flight), css("run" + i))),
          {x: timeAxis(), y: axis("journeys in flight", {beginAtZero: true})});
    document.documentElement.dataset.charts = String(drawn.length);
  }

  try {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    draw();
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  } catch (error) {
    const note = document.createElement("p");
    note.className = "notice";
    note.textContent = "The charts could not be drawn: " + error.message;
    place.before(note);
    console.error(error);
  }
})();
