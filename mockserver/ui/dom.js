// Elements out of names, properties and children. Texts become text nodes: nothing is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

export function el(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function replace(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

export function say(node, text, isBad = false) {
  node.textContent = text;
  node.classList.toggle("bad", isBad);
}

export function table(heads, rows) {
  const numeric = (index) => (heads[index].startsWith("#") ? "number" : null);
  const head = heads.map((text, index) => el("th", { scope: "col", class: numeric(index) }, text.replace(/^#/, "")));
  const body = rows.map((row) => el("tr", {}, row.map((cell, index) => el("td", { class: numeric(index) }, cell))));
  return el("div", { class: "scroll", tabindex: 0 }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}

const COUNTS = new Intl.NumberFormat("en");
export const counted = (number) => COUNTS.format(number);

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "…";
  if (seconds < 0.0995) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(0)} ms`;
  return seconds < 120 ? `${seconds.toFixed(2)} s` : `${counted(Math.round(seconds))} s`;
}

export function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

export function pretty(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "";
  return text.length > 200000 ? `${text.slice(0, 200000)}\n… (${counted(text.length)} letters)` : text;
}
