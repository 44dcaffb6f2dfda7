// Quotas and the clock.

import { get, post, put } from "./api.js";
import { counted, duration, el, replace, say } from "./dom.js";

export class LimitsView {
  constructor(panel) {
    panel.append(el("div", { class: "columns" }, this.buildQuotas(), this.buildClock()));
  }

  buildQuotas() {
    this.rpm = el("input", { id: "rpm", type: "text", inputmode: "numeric", placeholder: "no limit", autocomplete: "off" });
    this.tpm = el("input", { id: "tpm", type: "text", inputmode: "numeric", placeholder: "no limit", autocomplete: "off" });
    this.quotaSaid = el("p", { class: "said", role: "alert" });
    this.accounts = el("div", { class: "part" });
    return el(
      "form",
      { class: "card", "aria-labelledby": "quota-title", onsubmit: (event) => this.setQuotas(event) },
      el("h2", { id: "quota-title" }, "Quotas"),
      el("p", { class: "hint" }, "Each key and deployment has its own. Setting them forgets what was used."),
      el("div", { class: "fields" }, el("label", {}, "Requests a minute", this.rpm), el("label", {}, "Tokens a minute", this.tpm)),
      el("div", { class: "row" }, el("button", { class: "primary", id: "set-quotas" }, "Set quotas")),
      this.quotaSaid,
      this.accounts,
    );
  }

  buildClock() {
    this.time = el("p", { class: "big", id: "time" });
    this.mode = el("p", { class: "row" });
    this.seconds = el("input", { id: "advance", type: "text", inputmode: "decimal", value: "60", "aria-label": "Seconds to advance" });
    this.clockSaid = el("p", { class: "said", role: "alert" });
    const quick = [["+1 s", 1], ["+1 min", 60], ["+1 h", 3600]].map(([label, by]) =>
      el("button", { type: "button", onclick: () => this.move({ advance_s: by }) }, label));
    this.toWake = el("button", { type: "button", onclick: () => this.move({ advance_s: Math.max(this.clock.next_wake - this.clock.now, 0) }) }, "To the next answer that waits");
    return el(
      "form",
      { class: "card", "aria-labelledby": "clock-title", onsubmit: (event) => { event.preventDefault(); this.move({ advance_s: number(this.seconds.value) }); } },
      el("h2", { id: "clock-title" }, "Clock"),
      this.time,
      this.mode,
      el("div", { class: "row" },
        el("button", { type: "button", id: "stop-clock", onclick: () => this.move({ virtual: true }) }, "Stop"),
        el("button", { type: "button", id: "run-clock", onclick: () => this.move({ virtual: false }) }, "Run in real time")),
      el("label", {}, "Advance by seconds", this.seconds),
      el("div", { class: "row" }, el("button", { class: "primary", id: "advance-clock" }, "Advance"), quick, this.toWake),
      this.clockSaid,
    );
  }

  async open() {
    await this.refresh({ fills: true });
  }

  async refresh({ fills = false } = {}) {
    const [quotas, clock] = await Promise.all([get("quotas"), get("clock")]);
    this.showQuotas(quotas, fills);
    this.showClock(clock);
  }

  showQuotas(quotas, fills) {
    if (fills) {
      this.rpm.value = quotas.rpm ?? "";
      this.tpm.value = quotas.tpm ?? "";
    }
    const isLimited = quotas.rpm !== null || quotas.tpm !== null;
    const shown = quotas.accounts.slice(0, 100).map((account) =>
      el("div", { class: "account" },
        el("h3", {}, `${account.subject} · ${account.dialect} · key ${account.key.slice(0, 8)}…`),
        quotas.rpm === null ? null : gauge("requests", account.requests),
        quotas.tpm === null ? null : gauge("tokens", account.tokens)));
    const none = isLimited ? "Limited; nobody has asked since." : "No limits: every request is let in.";
    replace(this.accounts, shown.length && isLimited ? shown : el("p", { class: "empty" }, none));
  }

  showClock(clock) {
    this.clock = clock;
    const date = new Date(clock.now * 1000);
    this.time.textContent = Number.isNaN(date.getTime()) ? String(clock.now) : date.toISOString().replace("T", " ").slice(0, 19);
    const wakes = clock.next_wake === null ? "no answer waits" : `the next answer goes on in ${duration(Math.max(clock.next_wake - clock.now, 0))}`;
    replace(this.mode, el("span", { class: `chip ${clock.virtual ? "odd" : "good"}` }, clock.virtual ? "stands still" : "real time"), el("span", { class: "hint" }, `UTC · ${wakes}`));
    this.toWake.disabled = !clock.virtual || clock.next_wake === null;
    this.toWake.hidden = this.toWake.disabled;
  }

  async setQuotas(event) {
    event.preventDefault();
    try {
      this.showQuotas(await put("quotas", { rpm: number(this.rpm.value), tpm: number(this.tpm.value) }), true);
      say(this.quotaSaid, "Set.");
    } catch (error) {
      say(this.quotaSaid, error.message, true);
    }
  }

  async move(how) {
    try {
      this.showClock(await post("clock", how));
      say(this.clockSaid, "");
    } catch (error) {
      say(this.clockSaid, error.message, true);
    }
  }
}

function gauge(name, { limit, remaining, reset_s: reset }) {
  const share = Math.max(Math.min(remaining / limit, 1), 0);
  const fill = el("div", { class: "fill" });
  fill.style.width = `${share * 100}%`;
  const kind = share === 0 ? "out" : share < 0.25 ? "low" : "";
  const bar = el("div", { class: "bar", role: "meter", "aria-label": `${name} left`, "aria-valuemin": 0, "aria-valuemax": limit, "aria-valuenow": remaining }, fill);
  const text = `${counted(remaining)} of ${counted(limit)} ${name} left${reset ? `, all back in ${duration(reset)}` : ""}`;
  return el("div", { class: `gauge ${kind}` }, bar, el("span", { class: "hint" }, text));
}

// What is no number goes to the server as it is, which says what is wrong with it.
function number(text) {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  return Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}
