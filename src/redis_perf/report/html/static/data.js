// What stands in the page as compressed JSON, read when it is asked for.
const TICK_MS = 0.0001;
const BLOCKS_KEPT = 8;

async function embedded(name) {
  const text = document.getElementById(`data-${name}`).textContent;
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : bytesOf(atob(text));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(plain).json();
}

function bytesOf(binary) {
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

async function readReport() {
  const report = await embedded("rows");
  const columns = report.tests;
  report.tests = columns.id.map((id, at) => {
    const test = {at};
    for (const name in columns) test[name] = columns[name][at];
    const cut = id.indexOf("::");
    test.file ??= cut < 0 ? "" : id.slice(0, cut);
    test.name = cut < 0 ? id : id.slice(cut + 2);
    test.searched = id.toLowerCase();
    test.trips = test.redis + test.postgres;
    test.operations = test.redis_operations + test.postgres_operations;
    test.bytes = test.sent === null || test.received === null ? null : test.sent + test.received;
    test.change = test.base ? test.trips - test.base[0] : null;
    return test;
  });
  return report;
}

const blocks = new Map();

function block(number) {
  if (!blocks.has(number)) {
    if (blocks.size >= BLOCKS_KEPT) blocks.delete(blocks.keys().next().value);
    blocks.set(number, embedded(`block-${number}`));
  }
  return blocks.get(number);
}

async function readDetails(test) {
  const read = await block(test.block);
  const details = read.tests[test.within];
  return {...details, phases: details.phases.map((phase) => ({...phase, trips: tripsOf(phase, read)}))};
}

function tripsOf(phase, read) {
  let now = 0;
  return phase.sorts.map((sort, at) => {
    const [store, purpose, answer, waited, connection, lane, server, commits, site, operations, path] = read.sorts[sort];
    now += phase.starts[at];
    return {
      at, store, purpose, answer, waited, connection, lane, server, commits,
      group: `${store} ${site} ${operations}`,
      site: read.sites[site], operations: read.operations[operations], path: read.paths[path],
      start: now * TICK_MS, end: (now + phase.took[at]) * TICK_MS,
      sent: phase.sent[at], received: phase.received[at],
      chain: phase.chain === 1 ? 1 : phase.chain[at],
      step: 0,
    };
  });
}

function asked(trip) {
  const shapes = trip.operations.map(([, shape]) => shape);
  if (!shapes.length) return trip.store === "postgres" ? "(no statement executed)" : "(no command)";
  if (shapes.length === 1) return shapes[0];
  const runs = [];
  for (const shape of shapes) {
    if (runs.length && runs.at(-1)[0] === shape) runs.at(-1)[1]++;
    else runs.push([shape, 1]);
  }
  const texts = runs.slice(0, 6).map(([shape, times]) => (times > 1 ? `${times} \u00d7 ${shape}` : shape));
  if (runs.length > 6) texts.push(`and ${runs.length - 6} more`);
  return runs.length === 1 ? texts[0] : `${shapes.length} in one: ${texts.join("; ")}`;
}
