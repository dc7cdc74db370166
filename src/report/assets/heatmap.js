"use strict";
// Time × latency on a canvas. `view`: {cells: [[second, row, count]], seconds, rows: [first, end], rowOf(ms), rowMs(row), most: the
// largest count, low and high: [r, g, b] of the least and of the most, ink, soft, line, shade: colours, spans: [[from, to]] to
// shade, slo: ms, format(ms)}. Returns a function that says what lies under a point of the canvas.
function drawHeatmap(canvas, view) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  g.clearRect(0, 0, width, height);
  g.font = "12px system-ui, sans-serif";

  const [first, end] = view.rows;
  const box = {left: 74, top: 8, right: width - 8, bottom: height - 40};
  const x = second => box.left + (box.right - box.left) * second / view.seconds;
  const y = row => box.bottom - (box.bottom - box.top) * (row - first) / (end - first);
  const yOfMs = ms => y(view.rowOf(ms));
  const mix = share => view.low.map((from, i) => Math.round(from + (view.high[i] - from) * share));

  g.fillStyle = view.shade;
  for (const [from, to] of view.spans) g.fillRect(x(from), box.top, x(to) - x(from), box.bottom - box.top);
  for (const [second, row, count] of view.cells) {
    g.fillStyle = `rgb(${mix(Math.log(count) / Math.log(Math.max(2, view.most)))})`;
    // Half a pixel over the edge: no seams between cells.
    g.fillRect(x(second), y(row + 1), x(second + 1) - x(second) + 0.5, y(row) - y(row + 1) + 0.5);
  }

  g.strokeStyle = view.line;
  g.fillStyle = view.soft;
  g.lineWidth = 1;
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (let ms = 0.1; view.rowOf(ms) <= end; ms *= 10) {
    if (view.rowOf(ms) < first) continue;
    g.beginPath();
    g.moveTo(box.left, yOfMs(ms));
    g.lineTo(box.right, yOfMs(ms));
    g.stroke();
    g.fillText(view.format(ms), box.left - 6, yOfMs(ms));
  }
  g.textAlign = "center";
  g.textBaseline = "top";
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200].find(s => (x(s) - x(0)) >= 42) || 14400;
  for (let s = 0; s <= view.seconds; s += step) g.fillText(String(s), x(s), box.bottom + 5);
  g.fillText("time since the start (s)", (box.left + box.right) / 2, box.bottom + 23);
  g.save();
  g.translate(10, (box.top + box.bottom) / 2);
  g.rotate(-Math.PI / 2);
  g.fillText("latency (log)", 0, -6);
  g.restore();
  if (view.slo > 0 && view.rowOf(view.slo) >= first && view.rowOf(view.slo) <= end) {
    g.strokeStyle = g.fillStyle = view.ink;
    g.setLineDash([5, 4]);
    g.beginPath();
    g.moveTo(box.left, yOfMs(view.slo));
    g.lineTo(box.right, yOfMs(view.slo));
    g.stroke();
    g.textAlign = "right";
    g.textBaseline = "bottom";
    g.fillText(`SLO ${view.format(view.slo)}`, box.right - 4, yOfMs(view.slo) - 2);
  }

  const counts = new Map(view.cells.map(([second, row, count]) => [second + ":" + row, count]));
  return (px, py) => {
    const second = Math.floor((px - box.left) / (box.right - box.left) * view.seconds);
    const row = Math.floor(first + (box.bottom - py) / (box.bottom - box.top) * (end - first));
    const count = counts.get(second + ":" + row);
    return count === undefined ? ""
        : `second ${second}: ${count} between ${view.format(view.rowMs(row))} and ${view.format(view.rowMs(row + 1))}`;
  };
}
