// Makes elements of the document. What is said is put in as text, never as HTML.

function tag(name, values = {}, ...children) {
  const e = Object.assign(document.createElement(name), values);
  e.append(...children);
  return e;
}

// A list of pairs, kept as it stands where nothing has changed: who selects text, or listens to it, is not disturbed.
// `make(name)`: [element, where its term goes, where its value goes].
function fillPairs(host, entries, make) {
  const names = JSON.stringify(entries.map(([name]) => name));
  if (host.dataset.names !== names) {
    host.dataset.names = names;
    host.pairs = entries.map(([name]) => make(name));
    host.replaceChildren(...host.pairs.map(([e]) => e));
  }
  entries.forEach(([, term, value], i) => {
    const [, a, b] = host.pairs[i];
    if (a.textContent !== term) a.textContent = term;
    if (b.textContent !== value) b.textContent = value;
  });
}
