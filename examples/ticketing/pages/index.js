// The list of rooms: what everybody may know of each, every few seconds while somebody looks.
(() => {
  const every = 5000;
  const list = document.getElementById("list");
  const rooms = listedRooms().map(room => ({...room, status: null}));
  let say = null, timer = 0;

  for (const room of rooms) {
    room.heading = tag("h2", {id: "room-" + room.name});
    room.badge = tag("span", {className: "badge"});
    room.facts = tag("dl");
    room.fan = tag("a", {className: "main", href: "/fan/" + encodeURIComponent(room.name)});
    room.operator = tag("a", {className: "quiet", href: "/operator/" + encodeURIComponent(room.name)});
    const card = tag("article", {className: "card"}, tag("div", {className: "head"}, room.heading, room.badge), room.facts,
        tag("p", {className: "actions"}, room.fan, room.operator));
    card.setAttribute("aria-labelledby", room.heading.id);
    list.append(tag("li", {}, card));
  }

  function render() {
    document.title = say("site");
    if (rooms.length === 0) list.replaceChildren(tag("li", {className: "card", textContent: say("no_rooms")}));
    for (const room of rooms) {
      const title = room.title[say.language];
      const {state = "unknown", waiting, rate_per_s: rate} = room.status ?? {};
      room.heading.textContent = title;
      room.badge.dataset.state = state;
      room.badge.textContent = say(words.en["state_" + state] ? "state_" + state : "state_unknown");
      room.fan.textContent = say("room_fan");
      room.operator.textContent = say("room_operator");
      const facts = room.status === null ? [] : [[say("waiting_count"), say.number(waiting)], [say("let_in"), pace(rate)]];
      room.facts.replaceChildren(...facts.map(([term, detail]) =>
        tag("div", {}, tag("dt", {textContent: term}), tag("dd", {textContent: detail}))));
      if (room.failed) room.facts.replaceChildren(tag("div", {textContent: say("not_answering")}));
    }
  }
  const pace = rate => rate >= 1 || rate === 0 ? say("per_second", {n: rate}) : say("per_minute", {n: 60 * rate});

  async function refresh() {
    clearTimeout(timer);
    await Promise.all(rooms.map(async room => {
      const answer = await ask("GET", `/rooms/${encodeURIComponent(room.name)}/status`);
      room.failed = answer.status !== 200;
      room.status = room.failed ? null : answer.body;
    }));
    render();
    if (document.visibilityState !== "hidden") timer = setTimeout(refresh, every);
  }
  document.addEventListener("visibilitychange", () => { if (document.visibilityState !== "hidden") refresh(); });

  languageSwitch(chosen => {
    say = chosen;
    render();
  });
  refresh();
})();
