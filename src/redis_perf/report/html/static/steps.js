// Which step of the longest chain a round trip stands on: one more than the last of those that had ended when it began.
function isStep(trip) {
  return trip.answer === "complete" && trip.purpose !== "setup";
}

function setSteps(trips) {
  const begun = trips.filter(isStep).sort((a, b) => a.start - b.start || a.end - b.end);
  const ended = [...begun].sort((a, b) => a.end - b.end);
  let [at, deepest] = [0, 0];
  for (const trip of begun) {
    while (at < ended.length && ended[at].end <= trip.start && ended[at] !== trip) {
      deepest = Math.max(deepest, ended[at].step + ended[at].span);
      at++;
    }
    trip.step = deepest;
    trip.span = Math.max(1, trip.chain);
  }
}
