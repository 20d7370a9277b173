// Numbers with their units, for people.
const NETWORKS = [
  [0.1, "same host"], [0.5, "same zone"], [2, "between zones"], [30, "between regions"], [80, "between continents"],
];
const grouped = new Intl.NumberFormat("en", {maximumFractionDigits: 0});

function whole(number) {
  return number === null || number === undefined ? "not seen" : grouped.format(number);
}

function count(number, noun) {
  return `${whole(number)} ${number === 1 ? noun : noun + (noun.endsWith("s") ? "es" : "s")}`;
}

function threeDigits(number) {
  return number >= 100 ? grouped.format(number) : String(Number(number.toPrecision(3)));
}

function duration(ms) {
  if (ms === 0) return "0 ms";
  if (ms >= 60000) return `${threeDigits(ms / 60000)} min`;
  if (ms >= 1000) return `${threeDigits(ms / 1000)} s`;
  if (ms >= 1) return `${threeDigits(ms)} ms`;
  return `${threeDigits(ms * 1000)} \u00b5s`;
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return "not seen";
  for (const [unit, name] of [[1 << 30, "GiB"], [1 << 20, "MiB"], [1 << 10, "KiB"]])
    if (bytes >= unit) return `${(bytes / unit).toFixed(1)} ${name}`;
  return `${bytes} B`;
}

function signed(number) {
  return number > 0 ? `+${whole(number)}` : number < 0 ? `\u2212${whole(-number)}` : "\u00b10";
}

function networkName(ms) {
  const near = NETWORKS.find(([at]) => Math.abs(Math.log(ms / at)) < 0.25);
  return near ? near[1] : "";
}

function place(site) {
  return site ? `${site[0]}:${site[1]} in ${site[2]}` : "line not seen";
}

// The slider runs over powers of ten: 0 is 0.1 ms, 300 is 100 ms.
function networkAt(position) {
  return Number((0.1 * 10 ** (position / 100)).toPrecision(2));
}

function positionOf(ms) {
  return Math.max(0, Math.min(300, Math.round(100 * Math.log10(ms / 0.1))));
}
