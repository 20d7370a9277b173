// Which of the views is shown, and what all of them have in common: the network and the theme.
let network = 2;

function theme() {
  const themes = ["auto", "light", "dark"];
  const button = $("theme");
  let now = "auto";
  const remembered = (act) => { try { return act(localStorage); } catch { return null; } };  // a file may have no storage
  const set = (name) => {
    now = themes.includes(name) ? name : "auto";
    if (now === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = now;
    button.textContent = {auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark"}[now];
  };
  button.addEventListener("click", () => {
    set(themes[(themes.indexOf(now) + 1) % 3]);
    remembered((storage) => storage.setItem("redisperf-theme", now));
  });
  set(remembered((storage) => storage.getItem("redisperf-theme")));
}

function figures(report) {
  const sum = (of) => report.tests.reduce((total, test) => total + of(test), 0);
  const seen = (name) => report.tests.every((test) => test[name] !== null) ? sum((test) => test[name]) : null;
  const totals = {trips: sum((test) => test.trips), depth: sum((test) => test.depth)};
  const failed = report.tests.filter(({outcome}) => outcome === "failed" || outcome === "error").length;
  const suspects = report.tests.filter((test) => test.suspects).length;
  const [redis, postgres] = [sum((test) => test.redis), sum((test) => test.postgres)];
  replace($("totals"),
    figure("Tests", whole(report.tests.length), failed ? `${whole(failed)} failed` : "none failed"),
    figure("Round trips", whole(totals.trips), [redis && `Redis ${whole(redis)}`, postgres && `Postgres ${whole(postgres)}`].filter(Boolean).join(", ")),
    figure("Statements", whole(sum((test) => test.operations))),
    figure("Bytes", size(seen("bytes"))),
    figure("Total time", "", "all round trips", "total"),
    figure("Least time", "", "longest chains", "floor"),
    figure("Suspected N+1", whole(suspects), suspects === 1 ? "test" : "tests"));
  const clients = report.taps.map(([name, version, problem]) => `${name}${version ? ` ${version}` : ""}${problem ? ` (${problem})` : ""}`);
  const servers = report.servers.filter(([, name]) => name).map(([store, name, trips]) => `${store} at ${name} (${count(trips, "trip")})`);
  const more = servers.length > 4 ? [`${servers.length - 4} more servers`] : [];
  $("seen").textContent = [clients.join(", "), ...servers.slice(0, 4), ...more].filter(Boolean).join(" \u00b7 ");
  return totals;
}

function banners(report) {
  const {missing} = report;
  replace($("incomplete"), report.incomplete.length
    ? h("div", {class: "banner"}, h("strong", {}, "This run is incomplete."), h("ul", {}, report.incomplete.map((text) => h("li", {}, text)))) : []);
  if (missing?.length) $("overview").append(h("details", {class: "every"}, h("summary", {}, `${count(missing.length, "test")} of the baseline did not run`), h("ul", {}, missing.slice(0, 500).map((id) => h("li", {class: "file"}, id)))));
}

class Page {
  constructor(report) {
    this.report = report;
    this.totals = figures(report);
    banners(report);
    $("tab-findings").append(h("span", {class: "aside"}, ` ${whole(report.problems.length)}`));
    $("tab-tests").append(h("span", {class: "aside"}, ` ${whole(report.tests.length)}`));
    this.slider((report.networks_ns[0] ?? 2e6) / 1e6);
    $("loading").remove();
    $("overview").hidden = false;
    this.tests = new Tests(report, (at) => { location.hash = `test-${at}`; });
    this.asked = 0;
    addEventListener("hashchange", () => this.route());
    addEventListener("keydown", (event) => this.key(event));
    this.route();
  }

  slider(ms) {
    const slider = $("network");
    slider.value = positionOf(ms);
    network = ms;
    slider.addEventListener("input", () => { network = networkAt(Number(slider.value)); this.project(); });
    this.project();
  }

  project() {
    const name = networkName(network);
    $("network-value").textContent = duration(network);
    $("network-value").dataset.name = name;
    $("network").setAttribute("aria-valuetext", name ? `${duration(network)}, ${name}` : duration(network));
    for (const [key, trips] of [["total", this.totals.trips], ["floor", this.totals.depth]])
      $("totals").querySelector(`[data-live=${key}]`).textContent = duration(trips * network);
    for (const element of document.querySelectorAll("[data-trips]"))
      if (Number(element.dataset.trips)) element.textContent = duration(Number(element.dataset.trips) * network);
    this.tests?.project();
    this.detail?.project();
  }

  async route() {
    const asked = ++this.asked;
    const [, number] = /^#test-(\d+)$/.exec(location.hash) ?? [];
    const test = number === undefined ? undefined : this.report.tests[Number(number)];
    if (!test) { this.overview(); return; }
    const details = await readDetails(test);
    if (asked !== this.asked) return;
    if (!$("overview").hidden) this.scrolled = scrollY;
    $("overview").hidden = true;
    $("detail").hidden = false;
    this.at = test.at;
    const back = this.back ?? "#";
    this.detail = new Detail(test, details, {back, before: this.tests.beside(test.at, -1), after: this.tests.beside(test.at, 1)});
    document.title = `${test.name} \u2013 round trips`;
    scrollTo(0, 0);
    $("detail").querySelector("h1").focus({preventScroll: true});
  }

  overview() {
    const findings = location.hash === "#findings";
    const came = !$("detail").hidden;
    this.detail = null;
    this.back = findings ? "#findings" : "#";
    $("detail").hidden = true;
    $("detail").replaceChildren();
    $("overview").hidden = false;
    $("tests").hidden = findings;
    $("findings").hidden = !findings;
    for (const [id, on] of [["tab-tests", !findings], ["tab-findings", findings]])
      on ? $(id).setAttribute("aria-current", "page") : $(id).removeAttribute("aria-current");
    if (findings) showFindings(this.report, (tests, text) => { this.tests.narrow(tests, text); location.hash = ""; });
    document.title = "Round trips of a test run";
    if (location.hash === "#tests") { $("tests").focus(); return; }
    if (came) scrollTo(0, this.scrolled ?? 0);
    this.tests.show();
    if (came && !findings && this.at !== undefined) this.tests.focusTest(this.at);
  }

  key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "Escape" && !$("detail").hidden) { location.hash = this.back ?? ""; return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !$("tests").hidden && $("detail").hidden) { event.preventDefault(); $("search").focus(); }
    const step = {j: 1, k: -1}[event.key];
    const beside = step && !$("detail").hidden ? this.tests.beside(this.at, step) : undefined;
    if (beside) location.hash = `test-${beside.at}`;
  }
}

theme();
readReport().then((report) => new Page(report)).catch((error) => {
  const loading = $("loading");
  if (loading) loading.textContent = `The report could not be read: ${error}`;
  throw error;
});
