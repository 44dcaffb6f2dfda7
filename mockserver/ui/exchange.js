// One exchange: its facts, what was said, when the pieces went out, and the two bodies side by side.

import { turns } from "./conversation.js";
import { counted, duration, el, pretty, size, svg } from "./dom.js";

export function statusChip(exchange) {
  const { status, ended_at: ended } = exchange;
  if (!status && ended === null) return el("span", { class: "chip live" }, "open");
  if (!status) return el("span", { class: "chip bad" }, "none");
  const kind = status >= 500 ? "bad" : status >= 400 ? "odd" : ended === null ? "live" : exchange.complete ? "good" : "odd";
  return el("span", { class: `chip ${kind}` }, String(status));
}

// `memory` is what was chosen within it, and stays so when it is shown anew because more has come.
export function shown(exchange, memory) {
  return [title(exchange), facts(exchange), misses(exchange), conversation(exchange), timeline(exchange, memory), bodies(exchange, memory)];
}

function title(exchange) {
  return el(
    "div",
    { class: "title" },
    statusChip(exchange),
    el("h2", { class: "path" }, `${exchange.method} ${exchange.path}`),
    exchange.fault ? el("span", { class: "chip odd" }, exchange.fault) : null,
    exchange.stream ? el("span", { class: "chip" }, "stream") : null,
  );
}

function facts(exchange) {
  const { spent } = exchange;
  const known = [
    ["number", `#${exchange.number}`],
    ["model", exchange.model],
    ["deployment", exchange.deployment],
    ["took", exchange.ended_at === null ? "still open" : duration(exchange.ended_at - exchange.started_at)],
    ["sent", `${size(exchange.bytes)} in ${counted(exchange.frames)} ${exchange.frames === 1 ? "piece" : "pieces"}`],
    ["tokens", spent && spent.prompt + spent.completion ? `${counted(spent.prompt)} + ${counted(spent.completion)}` : null],
    ["attempt", exchange.attempt > 1 ? `${exchange.attempt} of call #${exchange.call}` : null],
    ["told to wait", exchange.retry_after_s === null ? null : duration(exchange.retry_after_s)],
    ["client has", exchange.ended_at === null ? null : exchange.client_left ? "left early" : exchange.soundness],
    ["step", exchange.step],
    ["key", exchange.key ? `${exchange.key.slice(0, 8)}…` : "none"],
    ["worker", exchange.worker],
    ["request id", exchange.request_id],
  ];
  const kept = known.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, kept.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
}

function misses(exchange) {
  if (!exchange.misses.length) return null;
  const items = exchange.misses.map((miss) => el("li", {}, miss));
  return el("section", { class: "part" }, el("h3", {}, "Near misses"), el("ul", { class: "misses" }, items));
}

function conversation(exchange) {
  const said = turns(exchange);
  if (!said.length) return null;
  const items = said.map((turn) =>
    el("li", { class: `turn ${turn.kind ?? ""}` }, el("span", { class: "who" }, turn.who), el("div", { class: "words" }, turn.words)),
  );
  return el("section", { class: "part" }, el("h3", {}, "Conversation"), el("ol", { class: "talk" }, items));
}

const MOST = 600;

function timeline(exchange, memory) {
  const all = exchange.response?.chunks ?? [];
  if (!all.length || !exchange.stream) return null;
  const chunks = all.slice(0, MOST);
  const readout = el("div", { class: "readout" });
  const bars = bar(chunks, readout, memory);
  const last = chunks.at(-1).at_s;
  const note = all.length > MOST ? `the first ${MOST} of ${counted(all.length)} chunks` : `${counted(all.length)} chunks`;
  return el(
    "section",
    { class: "part", "data-part": "timeline" },
    el("h3", {}, `Stream: ${note}, ${size(all.reduce((sum, chunk) => sum + chunk.size, 0))}`),
    bars,
    strip(chunks, last),
    el("div", { class: "ends" }, el("span", {}, "0"), el("span", {}, duration(last))),
    readout,
  );
}

function bar(chunks, readout, memory) {
  const largest = Math.max(...chunks.map((chunk) => chunk.size), 1);
  const buttons = chunks.map((chunk, index) => {
    const label = `chunk ${index + 1}, at ${duration(chunk.at_s)}, ${size(chunk.size)}`;
    const show = () => choose(index);
    const button = el("button", { type: "button", role: "option", tabindex: index ? -1 : 0, "aria-label": label, onfocus: show, onmouseenter: show, onclick: show });
    button.style.height = `${Math.max((chunk.size / largest) * 100, 6)}%`;
    return button;
  });
  function choose(index) {
    const chunk = chunks[index];
    memory.chunk = index;
    const before = index ? ` · ${duration(chunk.at_s - chunks[index - 1].at_s)} after the one before` : "";
    buttons.forEach((each, at) => {
      each.setAttribute("aria-selected", String(at === index));
      each.tabIndex = at === index ? 0 : -1;
    });
    readout.replaceChildren(
      el("p", { class: "hint" }, `${index + 1} of ${chunks.length} · at ${duration(chunk.at_s)}${before} · ${size(chunk.size)}`),
      el("pre", {}, chunk.text),
    );
  }
  const bars = el("div", { class: "chunks", role: "listbox", "aria-label": "chunks by size", "aria-orientation": "horizontal" }, buttons);
  bars.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[Math.min(Math.max(to, 0), buttons.length - 1)].focus();
  });
  choose(Math.min(memory.chunk ?? 0, chunks.length - 1));
  return bars;
}

function strip(chunks, last) {
  const ticks = chunks.map((chunk) => {
    const x = last ? 2 + (chunk.at_s / last) * 996 : 2;
    return svg("line", { x1: x, x2: x, y1: 4, y2: 20, "vector-effect": "non-scaling-stroke" });
  });
  const base = svg("line", { class: "base", x1: 0, x2: 1000, y1: 23, y2: 23, "vector-effect": "non-scaling-stroke" });
  return svg("svg", { class: "strip", viewBox: "0 0 1000 26", preserveAspectRatio: "none", role: "img", "aria-label": "chunks by time" }, base, ticks);
}

function bodies(exchange, memory) {
  const dropped = exchange.bodies_dropped ? "(forgotten: the journal keeps the newest bodies)" : "(no body)";
  const pair = [
    ["Request", exchange.headers, exchange.request],
    ["Response", exchange.response?.headers ?? {}, exchange.response?.body],
  ];
  return el("section", { class: "pair" }, pair.map(([name, headers, body]) =>
    el("div", { class: "part" }, el("h3", {}, name), headersOf(name, headers, memory),
      el("pre", { class: "block", tabindex: 0, "aria-label": `${name} body` }, body === null || body === undefined ? dropped : pretty(body))),
  ));
}

function headersOf(name, headers, memory) {
  const lines = Object.entries(headers).map(([name, value]) => el("code", {}, `${name}: ${value}`));
  return el("details", { open: memory[name] === true, ontoggle: (event) => { memory[name] = event.target.open; } }, el("summary", {}, `${lines.length} headers`), el("div", { class: "headers" }, lines));
}
