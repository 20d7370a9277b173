// Round trips in words: one of them, all that ask the same from one line, each by itself.
function inspector(trips) {
  if (!trips.length) return [h("p", {class: "aside"}, "Point at a round trip, or step through them with the arrow keys.")];
  return trips.length === 1 ? [one(trips[0])] : [several(trips)];
}

function one(trip) {
  const callers = trip.path?.callers ?? [];
  const facts = [
    ["Line", place(trip.site)],
    callers.length && ["Called from", callers.slice(0, 4).map(place).join(" \u2190 ")],
    trip.path?.through && ["Through", trip.path.through],
    ["Time", `${duration(trip.end - trip.start)}, from ${duration(trip.start)}`],
    ["Bytes", `${size(trip.sent)} sent, ${size(trip.received)} received`],
    ["Server", `${trip.server ?? "not seen"}, connection ${trip.connection}`],
    ["Task", trip.lane ?? "not seen"],
    ["Purpose", purposeOf(trip)],
    ["Longest chain", trip.chain ? "on it" : "not on it"],
  ].filter(Boolean);
  return h("div", {class: "one"},
    h("div", {class: "shapes"}, shapesOf(trip)),
    h("dl", {class: "facts"}, facts.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))));
}

function shapesOf(trip) {
  const lines = trip.operations.slice(0, 12).map(([, shape, failed]) => h("code", {class: failed ? "failed" : null}, shape + (failed ? "  (error reply)" : "")));
  if (!lines.length) lines.push(h("code", {}, asked(trip)));
  if (trip.operations.length > 12) lines.push(h("span", {class: "aside"}, `and ${whole(trip.operations.length - 12)} more`));
  return lines;
}

function purposeOf(trip) {
  const answer = trip.answer === "complete" ? "" : `, ${trip.answer}`;
  const purpose = {work: "work", transaction: "transaction control", setup: "connection setup, not charged"}[trip.purpose];
  return purpose + answer + (trip.waited ? ", blocks until there is something" : "") + (trip.commits ? `, ${count(trip.commits, "commit")}` : "");
}

function several(trips) {
  const groups = groupsOf(trips);
  const spent = trips.reduce((sum, trip) => sum + trip.end - trip.start, 0);
  return h("div", {class: "one"},
    h("p", {}, h("strong", {}, count(trips.length, "round trip")), ` here, ${duration(spent)} added up. Enter or + zooms in.`),
    h("div", {class: "shapes"}, groups.slice(0, 4).map((group) => h("code", {}, `${whole(group.trips.length)} \u00d7 ${shortened(asked(group.trips[0]), 200)}`))));
}

function groupsOf(trips) {
  const groups = new Map();
  for (const trip of trips) {
    if (!groups.has(trip.group)) groups.set(trip.group, {trips: [], spent: 0, bytes: 0});
    const group = groups.get(trip.group);
    group.trips.push(trip);
    group.spent += trip.end - trip.start;
    group.bytes = group.bytes === null || trip.sent === null || trip.received === null ? null : group.bytes + trip.sent + trip.received;
  }
  return [...groups.values()].sort((a, b) => b.trips.length - a.trips.length);
}

function groupTable(trips, pick) {
  return longTable("Round trips by line and by what was asked",
    [["Trips", "number"], ["What was asked", "what"], ["Line", "line"], ["Time", "number"], ["Bytes", "number"]], groupsOf(trips),
    (group) => h("tr", {},
      h("td", {class: "number"}, whole(group.trips.length)),
      h("td", {class: "what"}, h("button", {type: "button", class: `shape ${group.trips[0].store}`, title: "Show in the waterfall", onclick: () => pick(group.trips)}, asked(group.trips[0]))),
      h("td", {class: "line"}, place(group.trips[0].site)),
      h("td", {class: "number"}, duration(group.spent)),
      h("td", {class: "number"}, size(group.bytes))), 30);
}

function tripTable(trips, go) {
  return longTable("Every round trip, in the order they began",
    [["#", "number"], ["Starts", "number"], ["Takes", "number"], ["What was asked", "what"], ["Line", "line"], ["Server", "line"], ["Connection", "number"], ["Sent", "number"], ["Received", "number"], ["Chain", ""]], trips,
    (trip, at) => h("tr", {},
      h("td", {class: "number"}, whole(at + 1)),
      h("td", {class: "number"}, duration(trip.start)),
      h("td", {class: "number"}, duration(trip.end - trip.start)),
      h("td", {class: "what"}, h("button", {type: "button", class: `shape ${trip.store}`, title: "Show in the waterfall", onclick: () => go(trip)}, asked(trip)),
        trip.purpose === "work" && trip.answer === "complete" ? null : h("span", {class: "aside"}, ` ${purposeOf(trip)}`)),
      h("td", {class: "line"}, place(trip.site)),
      h("td", {class: "line"}, trip.server ?? "not seen"),
      h("td", {class: "number"}, `${trip.connection}`),
      h("td", {class: "number"}, size(trip.sent)),
      h("td", {class: "number"}, size(trip.received)),
      h("td", {}, trip.chain ? "on it" : "")), 100);
}
