// Round trips drawn over time. For eyes and the keyboard; the tables below it say the same in words.
const ROW = 34;
const BAR = 16;
const AXIS = 26;
const MOST_LINES = 400;

class Waterfall {
  constructor(phase, inspected) {
    this.phase = phase;
    this.inspected = inspected;
    this.marked = new Set();
    this.axis = "time";
    this.by = "connection";
    setSteps(phase.trips);
    this.drawing = h("div", {
      class: "drawing", tabindex: "0", role: "group",
      "aria-label": "Waterfall of round trips. Left and right step through them, plus and minus zoom, 0 shows all. The tables below hold the same.",
      onkeydown: (event) => this.key(event),
    });
    this.element = h("div", {class: "waterfall"}, this.controls(), this.drawing, legend(phase.trips));
    this.pointers();
    new ResizeObserver(() => this.draw()).observe(this.drawing);
    this.place();
  }

  controls() {
    const choice = (name, options, label) => h("label", {}, h("span", {class: "hidden"}, label),
      h("select", {oninput: (event) => { this[name] = event.target.value; this.place(); }},
        Object.entries(options).map(([value, [text]]) => h("option", {value}, text))));
    const button = (text, label, press) => h("button", {type: "button", "aria-label": label, title: label, onclick: press}, text);
    return h("div", {class: "controls"}, choice("axis", AXES, "Axis"), choice("by", ROWS, "Rows"),
      h("span", {class: "zoom"}, button("\u2212", "Zoom out", () => this.zoom(2)), button("+", "Zoom in", () => this.zoom(0.5)), button("All", "Show all", () => this.all())));
  }

  place() {
    const placed = AXES[this.axis][1](this.phase.trips);
    this.where = new Map(placed.map((one) => [one.trip, one]));
    this.first = placed.reduce((least, {from}) => Math.min(least, from), Infinity);
    this.last = placed.reduce((most, {to}) => Math.max(most, to), -Infinity);
    if (!placed.length) [this.first, this.last] = [0, 1];
    if (this.last <= this.first) this.last = this.first + 0.001;
    this.rows = rowsOf(placed, this.by);
    this.all();
  }

  all() {
    [this.from, this.to] = [this.first, this.last];
    this.selected = null;
    this.draw();
  }

  zoom(times, around = this.selected ? (this.selected.from + this.selected.to) / 2 : (this.from + this.to) / 2) {
    const least = Math.min((this.last - this.first) / 2, this.axis === "steps" ? 2 : 0.005);
    const length = Math.max(least, Math.min(this.last - this.first, (this.to - this.from) * times));
    const share = (around - this.from) / (this.to - this.from);
    this.show(around - share * length, around - share * length + length);
  }

  show(from, to) {
    const length = Math.min(to - from, this.last - this.first);
    this.from = Math.max(this.first, Math.min(from, this.last - length));
    this.to = Math.min(this.last, this.from + length);
    this.draw();
  }

  draw() {
    const wide = this.drawing.clientWidth;
    if (!wide) return;
    this.gutter = wide < 600 ? 0 : 168;
    this.width = wide - this.gutter - 12;
    const x = (value) => ((value - this.from) / (this.to - this.from)) * this.width;
    const row = this.gutter ? ROW : ROW + 16;
    const height = AXIS + this.rows.length * row + 6;
    const svg = s("svg", {width: wide, height, "aria-hidden": "true"});
    const plot = s("svg", {x: this.gutter, y: 0, width: this.width + 12, height, class: "plot"});
    plot.append(this.axisOf(x, height));
    this.bars = [];
    this.rows.forEach(({label: [name, server], placed}, number) => {
      const top = AXIS + number * row;
      svg.append(s("line", {x1: 0, x2: wide, y1: top, y2: top, class: "rule"}),
        s("text", {x: 0, y: this.gutter ? top + 15 : top + 14, class: "row-name"}, name),
        s("text", {x: this.gutter ? 0 : 110, y: this.gutter ? top + 28 : top + 14, class: "row-server"}, shortened(server, 26)));
      const y = top + (row - BAR) - 8;
      for (const bar of barsOf(placed, x, this.width)) this.bars.push({...bar, y});
    });
    this.bars.sort((a, b) => a.left - b.left || a.y - b.y);
    for (const bar of this.bars) plot.append(this.bar(bar));
    plot.append(this.crossings());
    svg.append(plot);
    if (this.selected) this.selected = this.bars.find((bar) => bar.trips.includes(this.selected.trips[0])) ?? null;
    this.plot = plot;
    this.drawing.replaceChildren(svg);
    this.outline();
  }

  axisOf(x, height) {
    const group = s("g", {class: "axis"});
    for (const at of ticks(this.from, this.to, this.width / 110)) {
      if (this.axis === "steps" && !Number.isInteger(at)) continue;
      const text = this.axis === "steps" ? (at ? `${whole(at)} \u00b7 ${duration(at * network)}` : "0") : duration(at);
      const left = x(at);
      group.append(s("line", {x1: left, x2: left, y1: AXIS - 6, y2: height}),
        left < this.width - 40 && s("text", {x: left + 4, y: 14}, text));
    }
    return group;
  }

  bar(bar) {
    const width = Math.max(2, bar.right - bar.left - (bar.right - bar.left > 5 ? 1 : 0));
    const classes = ["bar", kindOf(bar.trips)];
    if (bar.trips.some((trip) => this.marked.has(trip.at))) classes.push("marked");
    else if (this.marked.size) classes.push("faded");
    const group = s("g", {class: classes.join(" ")}, s("rect", {x: bar.left, y: bar.y, width, height: BAR, rx: width > 6 ? 2 : 0}));
    if (bar.trips.some((trip) => trip.chain)) group.append(s("rect", {x: bar.left, y: bar.y + BAR + 1.5, width: Math.max(2, width), height: 2.5, class: "path"}));
    if (bar.trips.length > 1 && width > 34) group.append(s("text", {x: bar.left + 4, y: bar.y + 12}, `\u00d7${bar.trips.length}`));
    bar.group = group;
    group.bar = bar;
    return group;
  }

  // From one row to another, where the longest chain goes over.
  crossings() {
    const group = s("g", {class: "crossings"});
    const chain = this.bars.filter((bar) => bar.trips.some((trip) => trip.chain));
    if (chain.length > MOST_LINES) return group;
    chain.forEach((bar, at) => {
      const before = chain[at - 1];
      if (before && before.y !== bar.y)
        group.append(s("path", {d: `M${before.right} ${before.y + BAR + 2.5} L${bar.left} ${bar.y + BAR + 2.5}`}));
    });
    return group;
  }

  select(bar, told = true) {
    this.selected = bar;
    this.outline();
    if (told) this.inspected(bar?.trips ?? []);
  }

  outline() {
    for (const bar of this.bars) bar.group.classList.toggle("selected", bar === this.selected);
  }

  // The round trips of a finding, or none.
  mark(numbers) {
    this.marked = new Set(numbers);
    this.draw();
  }

  // So near that it is a bar of its own.
  goTo(trip) {
    const {from, to} = this.where.get(trip) ?? {};
    if (from === undefined) return;
    const alone = () => this.bars.find((bar) => bar.trips.includes(trip));
    for (let around = (this.last - this.first) / 2; ; around /= 2) {
      this.show((from + to) / 2 - around, (from + to) / 2 + around);
      if (!(alone()?.trips.length > 1) || around < (to - from) * 2 || around < 1e-4) break;
    }
    this.select(alone() ?? null);
  }

  key(event) {
    const at = this.bars.indexOf(this.selected);
    const to = {ArrowRight: at + 1, ArrowLeft: at < 0 ? 0 : at - 1, Home: 0, End: this.bars.length - 1}[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (to !== undefined) this.select(this.bars[Math.max(0, Math.min(this.bars.length - 1, to))] ?? null);
    else if (event.key === "+" || event.key === "=" || event.key === "Enter") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else if (event.key === "0") this.all();
    else return;
    event.preventDefault();
  }

  // Pointing inspects; dragging shows what was dragged over.
  pointers() {
    const bar = (event) => event.target.closest("g.bar")?.bar;
    const at = (event) => this.from + ((event.clientX - this.drawing.getBoundingClientRect().left - this.gutter) / this.width) * (this.to - this.from);
    let [began, pixels] = [null, 0];
    this.drawing.addEventListener("pointermove", (event) => {
      if (began !== null && Math.abs(event.clientX - pixels) > 6) this.brush(began, at(event));
      else if (bar(event) && event.pointerType === "mouse" && bar(event) !== this.selected) this.select(bar(event));
    });
    this.drawing.addEventListener("pointerdown", (event) => {
      if (event.button || event.pointerType !== "mouse") return;
      [began, pixels] = [at(event), event.clientX];
    });
    addEventListener("pointerup", (event) => {
      if (began === null) return;
      const [from, to] = [began, at(event)].sort((a, b) => a - b);
      began = null;
      if (Math.abs(event.clientX - pixels) > 6) this.show(from, to);
    });
    this.drawing.addEventListener("click", (event) => bar(event) && this.select(bar(event)));
  }

  brush(from, to) {
    const x = (value) => ((value - this.from) / (this.to - this.from)) * this.width;
    this.plot.querySelector(".brush")?.remove();
    this.plot.append(s("rect", {class: "brush", x: x(Math.min(from, to)), width: Math.abs(x(to) - x(from)), y: AXIS, height: "100%"}));
  }

  project() {
    if (this.axis === "steps") this.draw();
  }
}

function isBad(trip) {
  return trip.answer === "lost" || trip.answer === "in flight" || trip.operations.some(([, , failed]) => failed);
}

function kindOf(trips) {
  const stores = new Set(trips.map((trip) => trip.store));
  const purposes = new Set(trips.map((trip) => trip.purpose));
  return `${stores.size > 1 ? "mixed" : trips[0].store} ${purposes.size > 1 ? "work" : trips[0].purpose}${trips.some(isBad) ? " bad" : ""}`;
}

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}\u2026` : text;
}

function legend(trips) {
  const key = (kind, text) => h("li", {}, h("span", {class: `key ${kind}`, "aria-hidden": "true"}), text);
  const has = (field, value) => trips.some((trip) => trip[field] === value);
  return h("ul", {class: "legend", "aria-label": "Legend"},
    has("store", "redis") && key("redis work", "Redis"), has("store", "postgres") && key("postgres work", "Postgres"),
    has("purpose", "transaction") && key("transaction", "Transaction control"), has("purpose", "setup") && key("setup", "Connection setup, not charged"),
    trips.some(isBad) && key("bad", "Error reply, or none"), key("chain", "On the longest chain"));
}
