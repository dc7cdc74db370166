// Requests to a room, and the list of rooms.

const listedRooms = () => JSON.parse(document.getElementById("rooms").textContent);
// Of the room whose page this is: {name, title: {en, ko}, link, streams}.
function roomOfPage() {
  let name = location.pathname.split("/")[2] ?? "";
  try { name = decodeURIComponent(name); } catch { /* then that is its name */ }
  return listedRooms().find(room => room.name === name) ?? {name, title: {en: name, ko: name}, link: "", streams: false};
}

// Milliseconds on a clock that nobody sets, and that goes on over a reload.
const clock = () => performance.timeOrigin + performance.now();

// When to ask again, in ms; null: nothing was said. `poll_after_ms` says the same as Retry-After, more exactly.
function askAgainAfter(body, retryAfter) {
  if (typeof body?.poll_after_ms === "number") return body.poll_after_ms;
  const seconds = Number(retryAfter);
  return retryAfter !== null && retryAfter !== "" && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
}

// {status, body, again}; status 0: no answer came. Never throws.
async function ask(method, path, {body, headers = {}} = {}) {
  try {
    const answer = await fetch(path, {
      method, cache: "no-store", signal: AbortSignal.timeout?.(15000),  // Safari before 16 has none
      headers: body === undefined ? headers : {"Content-Type": "application/json", ...headers},
      body: body === undefined ? undefined : JSON.stringify(body)});
    const text = await answer.text();
    let parsed = null;
    try { parsed = text === "" ? null : JSON.parse(text); } catch { /* a proxy's words */ }
    return {status: answer.status, body: parsed, again: askAgainAfter(parsed, answer.headers.get("Retry-After"))};
  } catch {
    return {status: 0, body: null, again: null};
  }
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(b => b.toString(16).padStart(2, "0")).join("");
}
