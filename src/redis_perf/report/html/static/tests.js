// The list of tests: found, sorted, and of those only what is on the screen.
const MARGIN = 8;

class Tests {
  constructor(report, open) {
    this.report = report;
    this.open = open;
    this.key = "trips";
    this.up = false;
    this.found = [];
    this.made = new Map();
    this.only = null;
    this.columns = this.columnsOf(report);
    this.head();
    this.listen();
    this.find();
  }

  columnsOf(report) {
    const time = (test) => test.trips * network;
    const floor = (test) => test.depth * network;
    return [
      {key: "name", text: "Test", kind: "name", by: (test) => test.searched},
      {key: "outcome", text: "Result", kind: "outcome wide-only", by: (test) => test.outcome, show: outcomeText},
      {key: "trips", text: "Round trips", kind: "trips number", by: (test) => test.trips, show: (test) => whole(test.trips)},
      {key: "redis", text: "Redis", kind: "number widest-only dot redis", by: (test) => test.redis, show: (test) => whole(test.redis)},
      {key: "postgres", text: "Postgres", kind: "number widest-only dot postgres", by: (test) => test.postgres, show: (test) => whole(test.postgres)},
      {key: "depth", text: "Depth", kind: "number wide-only", by: (test) => test.depth, show: (test) => whole(test.depth)},
      {key: "operations", text: "Statements", kind: "number widest-only", by: (test) => test.operations, show: (test) => whole(test.operations)},
      {key: "bytes", text: "Bytes", kind: "number widest-only", by: (test) => test.bytes ?? -1, show: (test) => size(test.bytes)},
      {key: "time", text: "Total time", title: "All round trips, one after another", kind: "number live", by: time, show: (test) => duration(time(test))},
      {key: "floor", text: "Least time", title: "The longest chain of round trips alone", kind: "number live wide-only", by: floor, show: (test) => duration(floor(test))},
      {key: "problems", text: "Findings", kind: "number wide-only found", by: (test) => test.suspects * 1000 + test.problems, show: findingsText},
      ...(report.missing === null ? [] : [{key: "change", text: "Before", kind: "number change wide-only", by: (test) => test.change ?? 0, show: changeText}]),
    ];
  }

  head() {
    const cells = this.columns.map((column) => {
      const button = h("button", {type: "button", title: column.title, onclick: () => this.sort(column.key)}, column.text);
      column.cell = h("th", {scope: "col", role: "columnheader", class: column.kind}, button);
      return column.cell;
    });
    replace($("columns"), cells);
    replace($("sort"), this.columns.map((column) => h("option", {value: column.key}, `Sort: ${column.text.toLowerCase()}`)));
    const outcomes = [...new Set(this.report.tests.map((test) => test.outcome))].sort();
    $("outcome").append(...outcomes.map((outcome) => h("option", {value: outcome}, outcome)));
  }

  listen() {
    for (const id of ["search", "outcome", "store", "suspects"]) $(id).addEventListener("input", () => this.find());
    $("sort").addEventListener("input", () => this.sort($("sort").value));
    for (const id of ["clear", "all"]) $(id).addEventListener("click", () => this.clear());
    document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
    $("rows").addEventListener("keydown", (event) => this.key_down(event));
    $("rows").addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-at]");
      if (row && !event.target.closest("a") && !String(getSelection())) this.open(Number(row.dataset.at));
    });
    let waiting = false;
    const later = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; this.show(); });
    };
    addEventListener("scroll", later, {passive: true});
    addEventListener("resize", later);
  }

  clear(focus = true) {
    for (const id of ["search", "outcome", "store"]) $(id).value = "";
    $("suspects").checked = false;
    this.only = null;
    this.find();
    if (focus) $("search").focus();
  }

  sort(key) {
    if (key === this.key) this.up = !this.up;
    else [this.key, this.up] = [key, key === "name" || key === "outcome"];
    this.find();
  }

  find() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [outcome, store, suspects] = [$("outcome").value, $("store").value, $("suspects").checked];
    const matches = (test) =>
      (!outcome || test.outcome === outcome) && (!store || test[store] > 0) && (!suspects || test.suspects > 0) &&
      (!this.only || this.only.has(test.at)) && words.every((word) => test.searched.includes(word));
    const {by} = this.columns.find(({key}) => key === this.key);
    const order = this.up ? 1 : -1;
    this.found = this.report.tests.filter(matches).map((test) => [by(test), test]);
    this.found.sort(([a, x], [b, y]) => (a < b ? -order : a > b ? order : x.at - y.at));
    this.found = this.found.map(([, test]) => test);
    this.told();
    this.made.clear();
    $("rows").replaceChildren();
    this.show();
  }

  // The tests of one finding, and no others.
  narrow(tests, text) {
    this.clear(false);
    this.only = new Set(tests);
    $("only").querySelector("span").textContent = text;
    this.find();
  }

  told() {
    $("only").hidden = !this.only;
    const all = this.report.tests.length;
    $("count").textContent = this.found.length === all ? count(all, "test") : `${whole(this.found.length)} of ${count(all, "test")}`;
    $("none").hidden = this.found.length > 0 || all === 0;
    $("list").hidden = this.found.length === 0;
    $("list").setAttribute("aria-rowcount", this.found.length + 1);
    $("sort").value = this.key;
    for (const {key, cell} of this.columns)
      cell.setAttribute("aria-sort", key === this.key ? (this.up ? "ascending" : "descending") : "none");
  }

  // Only rows on the screen, and a few around them, are elements; above and below stand two empty ones of their height.
  show() {
    const body = $("rows");
    if (!body.offsetParent) return;
    const height = parseFloat(getComputedStyle($("list")).getPropertyValue("--row"));
    const above = -body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(above / height) - MARGIN);
    const last = Math.min(this.found.length, Math.ceil((above + innerHeight) / height) + MARGIN);
    for (const [at, row] of this.made)
      if ((at < first || at >= last) && !row.contains(document.activeElement)) { row.remove(); this.made.delete(at); }
    for (let at = first; at < last; at++) if (!this.made.has(at)) this.made.set(at, this.row(at));
    const rows = [...this.made.keys()].sort((a, b) => a - b);
    const wanted = [];
    let reached = 0;
    for (const at of [...rows, this.found.length]) {
      if (at > reached) wanted.push(gap((at - reached) * height));
      if (at < this.found.length) wanted.push(this.made.get(at));
      reached = at + 1;
    }
    const focused = document.activeElement;
    if (wanted.length !== body.children.length || wanted.some((row, at) => row !== body.children[at])) body.replaceChildren(...wanted);
    if (focused && focused !== document.activeElement && body.contains(focused)) focused.focus({preventScroll: true});
  }

  row(at) {
    const test = this.found[at];
    const cells = this.columns.map((column) => {
      if (column.key === "name") return h("th", {scope: "row", role: "rowheader", class: column.kind}, nameOf(test));
      return h("td", {role: "cell", class: `${column.kind} ${column.key === "outcome" ? `is-${test.outcome}` : ""}${column.key === "change" && test.change > 0 ? "is-more" : ""}`}, column.show(test));
    });
    return h("tr", {role: "row", "aria-rowindex": at + 2, "data-at": test.at}, cells);
  }

  // The network has changed: what is on the screen is told anew; the order by time is the order it was.
  project() {
    for (const [at, row] of this.made)
      this.columns.forEach((column, number) => {
        if (column.kind.includes("live")) row.children[number].textContent = column.show(this.found[at]);
      });
  }

  key_down(event) {
    const row = event.target.closest("tr[data-at]");
    const step = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10}[event.key];
    if (!row || (!step && event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    const at = Number(row.getAttribute("aria-rowindex")) - 2;
    const last = this.found.length - 1;
    this.focus(event.key === "Home" ? 0 : event.key === "End" ? last : Math.max(0, Math.min(last, at + step)));
  }

  focus(at) {
    const height = parseFloat(getComputedStyle($("list")).getPropertyValue("--row"));
    const hidden = document.querySelector(".top").offsetHeight + $("columns").offsetHeight;
    const top = $("rows").getBoundingClientRect().top + at * height;
    if (top < hidden) scrollBy(0, top - hidden);
    else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight);
    this.show();
    this.made.get(at)?.querySelector("a").focus({preventScroll: true});
  }

  focusTest(number) {
    const at = this.found.findIndex((test) => test.at === number);
    if (at >= 0) this.focus(at);
  }

  beside(number, step) {
    const at = this.found.findIndex((test) => test.at === number);
    return at < 0 ? undefined : this.found[at + step];
  }
}

function gap(height) {
  const cell = h("td");
  cell.style.height = `${height}px`;
  return h("tr", {class: "gap", "aria-hidden": "true"}, cell);
}

function nameOf(test) {
  const bad = test.outcome === "failed" || test.outcome === "error";
  return h("a", {href: `#test-${test.at}`, title: test.id},
    h("span", {class: "test"}, bad && h("span", {class: "narrow-only is-failed"}, `${outcomeText(test)} `), test.change ? h("span", {class: `narrow-only ${test.change > 0 ? "is-more" : "is-less"}`}, `${signed(test.change)} `) : null, test.name),
    h("span", {class: "file"}, test.file));
}

function outcomeText(test) {
  return test.broken ? `${test.outcome}: ${test.broken === "n-plus-one" ? "N+1" : test.broken}` : test.outcome;
}

function findingsText(test) {
  if (!test.problems) return "";
  const rest = test.problems - test.suspects;
  return [test.suspects ? "N+1" + (test.suspects > 1 ? ` \u00d7${test.suspects}` : "") : "", rest ? `${rest} waste` : ""].filter(Boolean).join(", ");
}

function changeText(test) {
  if (!test.base) return test.outcome === "passed" ? "new" : "\u2013"; // one that did not end is not compared
  return test.change ? `${whole(test.base[0])} (${signed(test.change)})` : "same";
}
