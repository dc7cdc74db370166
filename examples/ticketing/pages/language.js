// In which language, and how numbers and times are said in it. All but `chosenLanguage` and `languageSwitch` are pure.

// The address goes before what was chosen earlier, and that before what the browser prefers.
function chosenLanguage() {
  const known = name => name && words[name.toLowerCase().slice(0, 2)] ? name.toLowerCase().slice(0, 2) : null;
  const asked = known(new URLSearchParams(location.search).get("lang"));
  if (asked) return asked;
  return known(recalled("weir.language")) ?? (navigator.languages ?? [navigator.language]).map(known).find(Boolean) ?? "en";
}

// Storage may be forbidden: the page works without.
function recalled(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}
function remember(key, text) {
  try { text === null ? localStorage.removeItem(key) : localStorage.setItem(key, text); } catch { /* so be it */ }
}

// say(key, {n: 3, title: "..."}): numbers are written as the language does; n chooses between one and other.
function speaker(language) {
  const numbers = new Intl.NumberFormat(language, {maximumFractionDigits: 1});
  const plural = new Intl.PluralRules(language);
  const say = (key, values = {}) => {
    const entry = words[language][key];
    if (entry === undefined) throw new Error("no word for " + key);
    const text = Array.isArray(entry) ? entry[plural.select(values.n ?? 0) === "one" ? 0 : 1] : entry;
    return text.replace(/\{(\w+)\}/g, (_, name) =>
      typeof values[name] === "number" ? numbers.format(values[name]) : values[name] ?? "");
  };
  say.language = language;
  say.number = value => numbers.format(value);
  return say;
}

// A whole duration in words, rounded up: "40 seconds", "2 minutes", "1 h 5 min".
function inWords(say, seconds) {
  if (seconds < 60) return say("seconds", {n: Math.max(0, Math.ceil(seconds))});
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return say("minutes", {n: minutes});
  if (minutes >= 48 * 60) return say("days", {n: Math.ceil(minutes / 1440)});
  const [h, m] = [Math.floor(minutes / 60), minutes % 60];
  return m === 0 ? say("hours", {n: h}) : say("hours_minutes", {h, m});
}

// Between the median and the bound, in one unit, as coarse as an estimate is: "10–25 seconds", "about 3 minutes".
function etaInWords(say, {p50, p90}) {
  const up = (value, step) => Math.max(step, Math.ceil(value / step) * step);
  if (p90 < 60) {
    const from = up(p50, 5), to = up(p90, 5);
    return from < to ? say("range_seconds", {from, to}) : say("about", {time: inWords(say, to)});
  }
  // Of hours nobody knows the minutes, of days nobody the hours.
  const step = p90 <= 3600 ? 60 : p90 <= 6 * 3600 ? 600 : p90 <= 48 * 3600 ? 3600 : 86400;
  const from = up(p50, step), to = up(p90, step);
  if (from === to) return to === 60 ? say("under_minute") : say("about", {time: inWords(say, to)});
  if (to <= 3600) return say("range_minutes", {from: from / 60, to: to / 60});
  return say("range", {from: inWords(say, from), to: inWords(say, to)});
}

// A clock that runs down: "0:24", "12:34", "1:02:03", "3 d 1:02:03". Never shows 0:00 while time is left.
function countdown(say, ms) {
  const all = Math.max(0, Math.ceil(ms / 1000));
  const two = n => String(n).padStart(2, "0");
  const seconds = all % 60, minutes = Math.floor(all / 60) % 60, hours = Math.floor(all / 3600) % 24;
  const clock = all < 3600 ? `${minutes}:${two(seconds)}` : `${hours}:${two(minutes)}:${two(seconds)}`;
  const days = Math.floor(all / 86400);
  return days > 0 ? say("days_clock", {d: days, clock: `${hours}:${two(minutes)}:${two(seconds)}`}) : clock;
}

// 14:03, with the date if it is not today.
function timeOfDay(say, wall, now = Date.now()) {
  const day = new Date(wall).toDateString() === new Date(now).toDateString() ? {} : {month: "long", day: "numeric"};
  return new Intl.DateTimeFormat(say.language, {...day, hour: "numeric", minute: "2-digit"}).format(wall);
}
const timeWithSeconds = (say, wall) =>
  new Intl.DateTimeFormat(say.language, {hour: "numeric", minute: "2-digit", second: "2-digit"}).format(wall);

// The buttons of the header; `changed(language)` is called at once, and whenever another is chosen.
function languageSwitch(changed) {
  const buttons = [...document.querySelectorAll("[data-language]")];
  const choose = language => {
    document.documentElement.lang = language;
    for (const b of buttons) b.setAttribute("aria-pressed", String(b.dataset.language === language));
    const say = speaker(language);
    document.getElementById("languages").setAttribute("aria-label", say("language"));
    for (const e of document.querySelectorAll("[data-say]")) e.textContent = say(e.dataset.say);
    changed(say);
  };
  for (const b of buttons) {
    b.addEventListener("click", () => {
      remember("weir.language", b.dataset.language);
      const address = new URL(location.href);
      if (address.searchParams.has("lang")) {  // what was chosen last counts
        address.searchParams.set("lang", b.dataset.language);
        history.replaceState(null, "", address);
      }
      choose(b.dataset.language);
    });
  }
  choose(chosenLanguage());
}
