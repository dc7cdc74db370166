// What is wrong with how the page looks now: text without contrast (WCAG 2.1 AA, 1.4.3), anything wider than the window,
// anything to press that is too small for a finger. What it evaluates to: a list of complaints.
(() => {
  const complaints = [], width = document.documentElement.clientWidth;
  const rgba = text => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 1) return color;
    }
    return [255, 255, 255, 1];
  };
  const seen = e => e.checkVisibility?.() !== false && e.getClientRects().length > 0 && !e.closest(".unseen, noscript");
  for (const e of document.body.querySelectorAll("*")) {
    if (!seen(e) || e.matches(":disabled")) continue;
    const text = [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE).map(n => n.data).join("").trim();
    const said = `<${e.localName} id="${e.id}"> “${text.slice(0, 40)}”`;
    if (text !== "" && !e.matches("script, style")) {
      const style = getComputedStyle(e);
      const [a, b] = [luminance(rgba(style.color)), luminance(behind(e))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (large ? 3 : 4.5)) complaints.push(`${said}: contrast ${ratio.toFixed(2)}`);
      if (e.scrollWidth > e.clientWidth + 1 && style.overflowX !== "visible" && e.clientWidth > 0) complaints.push(said + ": cut off");
    }
    const box = e.getBoundingClientRect();
    if (e.matches("button, input, a.main, summary") && box.height < 24) complaints.push(`${said}: ${box.height} px high`);
    if (box.right > width + 1) complaints.push(`${said}: reaches ${box.right} of ${width} px`);
  }
  if (document.querySelectorAll("main").length !== 1) complaints.push("there must be one main");
  if ([...document.querySelectorAll("h1")].filter(seen).length !== 1) complaints.push("there must be one h1");
  if (!["en", "ko"].includes(document.documentElement.lang)) complaints.push("the document has no language");
  if (document.documentElement.scrollWidth > width) complaints.push(`scrolls sideways: ${document.documentElement.scrollWidth}`);
  return complaints;
})()
