// Latencies and tokens, drawn as SVG from the journal.

import { counted, duration, el, replace, svg } from "./dom.js";

const W = 640;
const H = 240;
const LEFT = 58;
const BOTTOM = 26;
const MOST = 2000;

export class PlotsView {
  constructor(panel, journal) {
    this.journal = journal;
    this.latency = el("div", { class: "part" });
    this.tokens = el("div", { class: "part" });
    panel.append(el("div", { class: "columns" },
      el("figure", { class: "card" }, el("h2", {}, "How long answers took"), this.latency),
      el("figure", { class: "card" }, el("h2", {}, "Tokens by model"), this.tokens)));
  }

  open() {
    this.refresh();
  }

  refresh() {
    const ended = this.journal.entries.filter((each) => each.ended_at !== null);
    this.drawLatency(ended.slice(-MOST));
    this.drawTokens(ended);
  }

  drawLatency(exchanges) {
    if (!exchanges.length) {
      replace(this.latency, el("p", { class: "empty" }, "No answer has ended yet."));
      return;
    }
    const times = exchanges.map((each) => Math.max(each.ended_at - each.started_at, 0.0001));
    const low = 10 ** Math.floor(Math.log10(Math.min(...times)));
    const high = Math.max(10 ** Math.ceil(Math.log10(Math.max(...times))), low * 10);
    const y = (time) => 8 + (H - BOTTOM - 16) * (1 - Math.log10(time / low) / Math.log10(high / low));
    const x = (index) => LEFT + 8 + ((W - LEFT - 16) * (index + 0.5)) / exchanges.length;
    const lines = [];
    for (let value = low; value <= high * 1.001; value *= 10) {
      lines.push(svg("line", { class: "grid", x1: LEFT, x2: W, y1: y(value), y2: y(value) }));
      lines.push(svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, label(value)));
    }
    const dots = exchanges.map((each, index) => {
      const isFine = each.status < 400 && each.complete;
      return svg("circle", { class: isFine ? "ok" : "not-ok", cx: x(index), cy: y(times[index]), r: exchanges.length > 300 ? 2 : 3.5, "fill-opacity": 0.75 },
        svg("title", {}, `#${each.number}: ${duration(times[index])}, ${each.status || "no status"}`));
    });
    const sorted = [...times].sort((one, other) => one - other);
    const at = (share) => duration(sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)]);
    const said = `${counted(times.length)} answers: half within ${at(0.5)}, 95 % within ${at(0.95)}`;
    replace(this.latency,
      el("p", { class: "hint" }, said),
      svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": said }, lines, dots,
        svg("text", { x: LEFT + 8, y: H - 6 }, `#${exchanges[0].number}`),
        svg("text", { x: W - 8, y: H - 6, "text-anchor": "end" }, `#${exchanges.at(-1).number}`)),
      legend(["ok", "answered whole"], ["not-ok", "refused or broken"]));
  }

  drawTokens(exchanges) {
    const sums = new Map();
    for (const { model, spent } of exchanges) {
      if (!spent || !model) continue;
      const sum = sums.get(model) ?? { prompt: 0, completion: 0 };
      sums.set(model, { prompt: sum.prompt + spent.prompt, completion: sum.completion + spent.completion });
    }
    const top = [...sums].map(([model, sum]) => ({ model, ...sum, all: sum.prompt + sum.completion })).filter((each) => each.all)
      .sort((one, other) => other.all - one.all).slice(0, 12);
    if (!top.length) {
      replace(this.tokens, el("p", { class: "empty" }, "Nothing has been spent yet."));
      return;
    }
    const height = top.length * 44 + 4;
    const width = (count) => (count / top[0].all) * (W - 8);
    const bars = top.flatMap((each, index) => [
      svg("text", { x: 0, y: index * 44 + 14 }, `${each.model.slice(0, 60)}: ${counted(each.prompt)} + ${counted(each.completion)}`),
      svg("rect", { class: "first", x: 0, y: index * 44 + 21, width: width(each.prompt), height: 12, rx: 2 }),
      svg("rect", { class: "second", x: width(each.prompt) + 1, y: index * 44 + 21, width: width(each.completion), height: 12, rx: 2 }),
    ]);
    const said = top.map((each) => `${each.model}: ${each.all} tokens`).join(", ");
    replace(this.tokens, svg("svg", { class: "plot", viewBox: `0 0 ${W} ${height}`, role: "img", "aria-label": said }, bars),
      legend(["first", "prompt"], ["second", "completion"]));
  }
}

function label(seconds) {
  return seconds < 0.001 ? `${Math.round(seconds * 1e6)} µs` : seconds < 1 ? `${Math.round(seconds * 1e3)} ms` : `${counted(Math.round(seconds))} s`;
}

function legend(...entries) {
  return el("p", { class: "legend" }, entries.map(([kind, text]) => el("span", {}, el("i", { class: kind, "aria-hidden": "true" }), text)));
}
