// The form of a room's limits on the operator's page. `page`: {stats, load, save, question, told}, see operator.js.
function limitsForm(page) {
  const $ = id => document.getElementById(id);
  const idOf = path => "limit-" + path.replace(/[^a-z0-9]+/gi, "-");
  const touched = new Set();  // paths of fields that the operator has changed: the others follow what is in force
  let limits = null, say = null, made = "", busy = false, saidDone = false;

  const choices = field => Array.isArray(field.kind) ? field.kind : ["false", "true"];
  function inWordsOf(field, text) {
    if (text === "") return say("limit_off");
    if (Array.isArray(field.kind)) return say(`choice_${field.path}_${text}`);
    if (field.kind === "flag") return say(text === "true" ? "yes" : "no");
    const number = Number(text);
    return Number.isFinite(number) ? new Intl.NumberFormat(say.language, {maximumFractionDigits: 6}).format(number) : text;
  }

  function make(field) {
    const id = idOf(field.path);
    const chosen = Array.isArray(field.kind) || field.kind === "flag";
    const input = chosen ? tag("select", {id}) : tag("input", {id, type: "text", inputMode: "decimal", autocomplete: "off"});
    input.setAttribute("aria-describedby", `${id}-now ${id}-problem`);
    input.addEventListener("input", () => {
      touched.add(field.path);
      saidDone = false;
      $("limits-done").textContent = "";
      mark(field);
    });
    const problem = tag("p", {id: id + "-problem", className: "problem"});
    problem.setAttribute("role", "alert");
    return tag("div", {className: "field"}, tag("label", {htmlFor: id}), input,
        tag("p", {id: id + "-now", className: "small"}), problem);
  }
  const named = field => (field.lane === undefined ? "" : field.lane + ": ") + say(wordOf(field));

  function mark(field) {
    $(idOf(field.path)).toggleAttribute("data-changed", changesOf(limits, texts()).some(c => c.field.path === field.path));
  }
  const texts = () => Object.fromEntries([...touched].map(path => [path, $(idOf(path)).value]));

  function render() {
    if (say === null || limits === null) return;
    const fields = fieldsOf(limits), as = JSON.stringify(fields.map(f => f.path));
    if (made !== as) {
      made = as;
      touched.clear();
      $("limits-fields").replaceChildren(...fields.filter(f => !f.more).map(make));
      $("limits-fields-more").replaceChildren(...fields.filter(f => f.more).map(make));
    }
    for (const field of fields) {
      const input = $(idOf(field.path)), now = textOf(limits, field.path);
      document.querySelector(`label[for=${idOf(field.path)}]`).textContent = named(field);
      if (input.localName === "select") {
        const kept = input.value;
        input.replaceChildren(...choices(field).map(value => tag("option", {value, textContent: inWordsOf(field, value)})));
        input.value = kept;
      }
      if (!touched.has(field.path)) input.value = now;
      $(idOf(field.path) + "-now").textContent = say("limit_now", {value: inWordsOf(field, now)});
      mark(field);
    }
    $("limits-done").textContent = saidDone ? say("limits_done") : "";
    $("limits-send").setAttribute("aria-disabled", String(busy));
  }

  function problemAt(path, text) {
    for (const e of $("limits").querySelectorAll("[aria-invalid]")) e.removeAttribute("aria-invalid");
    for (const e of $("limits").querySelectorAll(".field .problem")) e.textContent = "";
    const input = path && $(idOf(path));
    $("limits-problem").textContent = input ? "" : text;
    if (!input) return;
    $(idOf(path) + "-problem").textContent = text;
    input.setAttribute("aria-invalid", "true");
    for (let e = input; e; e = e.parentElement) if (e.localName === "details") e.open = true;
    input.focus();
  }

  const changed = list => list.map(c => [named(c.field), inWordsOf(c.field, c.from), inWordsOf(c.field, c.to)]);

  $("limits").addEventListener("submit", async e => {
    e.preventDefault();
    if (busy || limits === null) return;
    problemAt(null, "");
    busy = true;
    await load();  // somebody else may have changed them
    busy = false;
    render();
    const changes = changesOf(limits, texts());
    if (changes.length === 0) return problemAt(null, say("limits_same"));
    page.question(() => ({
      heading: say("ask_limits"), text: say("ask_limits_text"), yes: say("act_limits"), items: changed(changes),
      warnings: warningsOf(page.stats(), limits, changes).map(([key, values]) =>
        say(key, values.seconds === undefined ? values : {...values, time: inWords(say, values.seconds)}))}),
    () => save(changes));
  });

  async function save(changes) {
    busy = true;
    render();
    const detail = changed(changes).map(([name, from, to]) => `${name} ${from} → ${to}`).join(", ");
    const answer = await page.save(bodyOf(limits, changes));
    busy = false;
    if (answer === null || limits === null) return;  // signed out meanwhile
    if (answer.status === 200 && answer.body?.lanes) {
      limits = answer.body;
      touched.clear();
      saidDone = true;
    }
    page.told("limits", detail, answer);
    render();
    if (answer.status === 400) {
      const {path, text} = refusalOf(limits, answer.body);
      problemAt(path, say("limit_refused", {problem: text}));
    }
  }

  $("limits-reset").addEventListener("click", () => {
    touched.clear();
    problemAt(null, "");
    render();
  });

  async function load() {
    const answer = await page.load();
    if (answer?.status !== 200 || !answer.body?.lanes) return;
    limits = answer.body;
    render();
  }
  return {
    load,
    limits: () => limits,
    forget() {
      limits = null;
      saidDone = false;
      touched.clear();
      problemAt(null, "");
    },
    speak(chosen) {
      say = chosen;
      render();
    },
  };
}
