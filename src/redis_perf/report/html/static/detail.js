// One test, as large as the window.
class Detail {
  constructor(test, details, around) {
    this.test = test;
    this.details = details;
    this.around = around;
    this.phase = details.phases.find(({when}) => when === "call") ?? details.phases[0];
    this.body = h("div", {});
    replace($("detail"), this.head(), this.figures(), this.verdict(), this.phases(), this.body, this.change(), this.fixtures());
    this.show();
    this.project();
  }

  head() {
    const {test, around} = this;
    const move = (to, text, key) => to ? h("a", {href: `#test-${to.at}`, title: `${to.id} (${key})`}, text) : h("span", {class: "aside"}, text);
    const shown = test.outcome !== "passed";
    return h("header", {},
      h("nav", {class: "moves", "aria-label": "Tests"}, h("a", {href: around.back, title: "Esc"}, "\u2190 All tests"),
        h("span", {class: "steps"}, move(around.before, "Previous", "k"), move(around.after, "Next", "j"))),
      h("h1", {tabindex: "-1"}, test.name, " ", shown && h("span", {class: `result is-${test.outcome}`}, test.outcome)),
      h("p", {class: "file"}, test.file + (test.line ? `:${test.line}` : "")));
  }

  figures() {
    const {test} = this;
    const each = [test.redis && `Redis ${whole(test.redis)}`, test.postgres && `Postgres ${whole(test.postgres)}`].filter(Boolean).join(", ");
    const bytes = test.bytes === null ? "" : `${size(test.sent)} out, ${size(test.received)} in`;
    const aside = [test.setup && `${count(test.setup, "setup trip")}`, test.outside && `${whole(test.outside)} outside the call`, test.lost && `${whole(test.lost)} lost`].filter(Boolean).join(", ");
    return h("dl", {class: "figures"},
      figure("Round trips", whole(test.trips), each || aside),
      figure("Depth", whole(test.depth), test.depth === test.trips ? "one after another" : "longest chain"),
      figure("Statements", whole(test.operations), test.commits ? count(test.commits, "commit") : null),
      figure("Bytes", size(test.bytes), bytes),
      figure("Total time", "", "all round trips", "total"),
      figure("Least time", "", "the longest chain", "floor"),
      test.base && figure("Before", whole(test.base[0]), test.change ? `${signed(test.change)} round trips now` : "the same"),
      aside && each ? figure("Not charged", whole(test.setup + test.outside + test.lost), aside) : null);
  }

  verdict() {
    return this.details.verdict ? h("pre", {class: "verdict", tabindex: "0", "aria-label": "Why a budget failed this test"}, this.details.verdict) : null;
  }

  change() {
    const {change} = this.details;
    if (!change) return null;
    if (!change.counts.length && !change.shapes.length) return h("p", {class: "aside"}, "Spends what its baseline says.");
    const row = (name, before, now) => h("tr", {}, h("td", {class: "what"}, name), h("td", {class: "number"}, whole(before)),
      h("td", {class: "number"}, whole(now)), h("td", {class: `number ${now > before ? "is-more" : "is-less"}`}, signed(now - before)));
    const rows = [...change.counts.map(([store, measure, before, now]) => [`${store} ${measure.replace("_", " ")}`, before, now]),
      ...change.shapes.map(([, shape, before, now]) => [shape, before, now])];
    return h("section", {}, h("h2", {}, "Since the baseline"),
      longTable("What changed since the baseline", [["What", "what"], ["Before", "number"], ["Now", "number"], ["Change", "number"]], rows, ([name, before, now]) => row(name, before, now), 20));
  }

  phases() {
    const {phases} = this.details;
    if (phases.length < 2) return null;
    this.buttons = phases.map((phase) => h("button", {type: "button", "aria-pressed": String(phase === this.phase), onclick: () => { this.phase = phase; this.show(); }},
      `${phase.when[0].toUpperCase()}${phase.when.slice(1)}`, h("span", {class: "aside"}, ` ${whole(phase.trips.length)}`)));
    return h("div", {class: "tabs", role: "group", "aria-label": "Phase of the test"}, this.buttons);
  }

  show() {
    const {phase, body} = this;
    this.buttons?.forEach((button, at) => button.setAttribute("aria-pressed", String(this.details.phases[at] === phase)));
    this.waterfall = null;
    if (!phase?.trips.length) { replace(body, this.notes(), h("p", {class: "empty"}, "Nothing was sent.")); return; }
    const inspected = h("div", {class: "inspector", role: "status"});
    const inspect = (trips) => replace(inspected, inspector(trips));
    this.waterfall = new Waterfall(phase, inspect);
    inspect([]);
    const pick = (trips) => { this.waterfall.mark(trips.map((trip) => trip.at)); this.waterfall.select(null, false); inspect(trips); this.waterfall.drawing.focus(); };
    const go = (trip) => { this.waterfall.goTo(trip); this.waterfall.drawing.focus(); };
    replace(body, this.findings(phase), h("section", {}, h("h2", {}, "Waterfall"), this.waterfall.element, inspected),
      h("section", {}, h("h2", {}, "By line"), groupTable(phase.trips, pick)), this.every(phase, go), this.notes());
    this.waterfall.draw();
  }

  every(phase, go) {
    const all = h("details", {class: "every"}, h("summary", {}, h("h2", {}, "Every round trip")));
    all.addEventListener("toggle", () => all.open && all.children.length === 1 && all.append(tripTable(phase.trips, go)));
    return all;
  }

  findings(phase) {
    if (!phase.problems.length) return null;
    const items = phase.problems.map((problem) => {
      const button = h("button", {type: "button", "aria-pressed": "false", onclick: () => {
        const on = button.getAttribute("aria-pressed") === "false";
        for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(on));
        this.waterfall.mark(on ? problem.trips : []);
      }}, "Show");
      return h("li", {}, h("span", {class: `tag ${problem.kind === "N+1" ? "suspect" : ""}`}, problem.kind),
        h("span", {class: "text"}, problem.text, h("span", {class: "file"}, problem.trips.length ? place(phase.trips[problem.trips[0]].site) : "", problem.loop ? `, in the loop at ${place(problem.loop)}` : "")),
        h("span", {class: "saves"}, problem.saves ? [`saves ${count(problem.saves, "trip")}, `, h("span", {"data-trips": problem.saves}, duration(problem.saves * network))] : null), button);
    });
    const list = h("ul", {class: "problems"}, items);
    return h("section", {}, h("h2", {}, "Findings"), list);
  }

  notes() {
    const {phase} = this;
    const notes = [...(phase?.notes ?? []), ...(phase?.children ? [`${count(phase.children, "process")} started meanwhile: what was sent there is not seen.`] : [])];
    return notes.length ? h("ul", {class: "notes"}, notes.map((note) => h("li", {}, note))) : null;
  }

  fixtures() {
    const {fixtures} = this.details;
    if (!fixtures.length) return null;
    return h("section", {}, h("h2", {}, "Fixtures"), longTable("What the fixtures spent",
      [["Fixture", "what"], ["Scope", ""], ["When", ""], ["Trips", "number"], ["Statements", "number"], ["Depth", "number"], ["Opened", "number"]], fixtures,
      ([name, scope, when, ...numbers]) => h("tr", {}, h("td", {class: "what"}, name), h("td", {}, scope), h("td", {}, when), numbers.map((number) => h("td", {class: "number"}, whole(number)))), 30));
  }

  project() {
    for (const [name, trips] of [["total", this.test.trips], ["floor", this.test.depth]])
      $("detail").querySelector(`[data-live=${name}]`).textContent = duration(trips * network);
    this.waterfall?.project();
  }
}
