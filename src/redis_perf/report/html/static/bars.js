// Where round trips stand on an axis and in which row, and what to draw where many fall on one place.
const MOST_ROWS = 20;
const THIN = 3;
const WIDEST = 40;

const AXES = {
  time: ["Time as measured", (trips) => positions(trips, (trip) => [trip.start, trip.end])],
  busy: ["Time without gaps", withoutGaps],
  steps: ["Steps on the network", (trips) => positions(trips.filter(isStep), (trip) => [trip.step, trip.step + trip.span])],
};

function positions(trips, of) {
  return trips.map((trip) => { const [from, to] = of(trip); return {trip, from, to}; });
}

// Where nothing was waited for, the axis is cut to a hundredth of the time that was.
function withoutGaps(trips) {
  const begun = [...trips].sort((a, b) => a.start - b.start);
  let [busy, until] = [0, -Infinity];
  for (const trip of begun) {
    busy += Math.max(0, trip.end - Math.max(until, trip.start));
    until = Math.max(until, trip.end);
  }
  let cut = begun.length ? begun[0].start : 0;
  until = cut;
  return begun.map((trip) => {
    cut += Math.max(0, trip.start - until - busy / 100);
    until = Math.max(until, trip.end);
    return {trip, from: trip.start - cut, to: trip.end - cut};
  });
}

const ROWS = {
  connection: ["By connection", (trip) => `${trip.store} ${trip.connection}`, (trip) => [`${trip.store} #${trip.connection}`, trip.server ?? ""]],
  lane: ["By task", (trip) => trip.lane ?? "", (trip) => [trip.lane ?? "task not seen", ""]],
};

function rowsOf(placed, by) {
  const [, key, label] = ROWS[by];
  const rows = new Map();
  for (const one of placed) {
    const name = key(one.trip);
    if (!rows.has(name)) rows.set(name, {label: label(one.trip), placed: []});
    rows.get(name).placed.push(one);
  }
  const all = [...rows.values()];
  if (all.length <= MOST_ROWS) return all;
  const most = new Set([...all].sort((a, b) => b.placed.length - a.placed.length).slice(0, MOST_ROWS - 1));
  const rest = all.filter((row) => !most.has(row));
  return [...all.filter((row) => most.has(row)), {label: [`${whole(rest.length)} others`, ""], placed: rest.flatMap((row) => row.placed)}];
}

// Bars of one row, in pixels; those too thin to tell apart become one, up to a width.
function barsOf(placed, x, width) {
  const bars = [];
  for (const {trip, from, to} of [...placed].sort((a, b) => a.from - b.from)) {
    const [left, right] = [x(from), x(to)];
    if (right < 0 || left > width) continue;
    const thin = right - left < THIN;
    const before = bars.at(-1);
    if (thin && before?.thin && left < before.right + 1 && right - before.left < WIDEST) {
      before.trips.push(trip);
      before.right = Math.max(before.right, right);
      before.to = Math.max(before.to, to);
    } else bars.push({left, right, from, to, thin, trips: [trip]});
  }
  return bars;
}

function ticks(from, to, most) {
  const rough = (to - from) / Math.max(2, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to + step / 1e6; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}
