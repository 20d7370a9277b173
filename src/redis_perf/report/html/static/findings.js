// What was found in all tests, the greatest saving first.
function showFindings(report, narrow) {
  const found = report.problems;
  const section = $("findings");
  if (!found.length) {
    replace(section, h("p", {class: "empty"}, "Nothing suspicious: no repeated question and no waste was found."));
    return;
  }
  replace(section, h("p", {class: "aside"}, "Savings of one finding add up over its tests; different findings may overlap."),
    longTable("Findings, greatest saving first", [["Kind", "kind wide-only"], ["What", "what"], ["Tests", "number wide-only"], ["Saves", "number wide-only"], ["Time saved", "number"]], found,
      ([kind, text, site, loop, total, tests]) => h("tr", {},
        h("td", {class: "kind wide-only"}, h("span", {class: `tag ${kind === "N+1" ? "suspect" : ""}`}, kind)),
        h("td", {class: "what"}, h("div", {class: "text"}, h("strong", {class: "narrow-only"}, `${kind}: `), text), h("div", {class: "file"}, place(site), loop ? `, in the loop at ${place(loop)}` : ""),
          h("div", {class: "links"}, tests.slice(0, 3).map((at) => h("a", {href: `#test-${at}`}, report.tests[at].name)),
            tests.length > 3 ? h("button", {type: "button", class: "link", onclick: () => narrow(tests, text)}, `all ${whole(tests.length)} tests`) : null)),
        h("td", {class: "number wide-only"}, whole(tests.length)),
        h("td", {class: "number wide-only"}, total ? count(total, "trip") : "\u2013"),
        h("td", {class: "number", "data-trips": total}, total ? duration(total * network) : "\u2013")), 50));
}
