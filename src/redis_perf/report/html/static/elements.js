// Elements are made by name and filled with text, never with markup.
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function s(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

function figure(name, value, note, live) {
  return h("div", {}, h("dt", {}, name), h("dd", live ? {"data-live": live} : {}, value), note && h("dd", {class: "note"}, note));
}

// A table that shows its first rows, and more when asked.
function longTable(caption, heads, rows, make, shown = 100) {
  const body = h("tbody");
  const more = h("button", {type: "button", class: "more", onclick: () => grow(shown * 5)});
  let upTo = 0;
  const grow = (by) => {
    const first = upTo;
    upTo = Math.min(rows.length, upTo + by);
    for (let at = first; at < upTo; at++) body.append(make(rows[at], at));
    more.textContent = `Show more (${whole(rows.length - upTo)} left)`;
    more.hidden = upTo >= rows.length;
  };
  grow(shown);
  const head = h("tr", {}, heads.map(([text, kind]) => h("th", {scope: "col", class: kind}, text)));
  const table = h("table", {class: "plain"}, h("caption", {class: "hidden"}, caption), h("thead", {}, head), body);
  return h("div", {class: "wide", tabindex: "0", role: "region", "aria-label": caption}, table, more);
}
