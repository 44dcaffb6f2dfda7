// What the journal says against the client, and what it all cost.

import { get } from "./api.js";
import { counted, el, replace, size, table } from "./dom.js";

export class VerdictView {
  constructor(panel, { onExchange }) {
    this.onExchange = onExchange;
    this.verdict = el("div", { class: "part", "aria-live": "polite" });
    this.ledger = el("div", { class: "part" });
    this.rows = el("input", { type: "text", id: "rows", placeholder: "any", inputmode: "numeric", autocomplete: "off" });
    this.attempts = el("input", { type: "text", id: "max-attempts", placeholder: "10", inputmode: "numeric", autocomplete: "off" });
    this.givesUp = el("input", { type: "checkbox", id: "gives-up" });
    const form = el(
      "form",
      { class: "part", onsubmit: (event) => { event.preventDefault(); this.refresh(); } },
      el("div", { class: "fields" }, el("label", {}, "Calls to be answered", this.rows), el("label", {}, "Attempts at most", this.attempts)),
      el("label", { class: "check" }, this.givesUp, "giving up with an error is fine"),
      el("div", { class: "row" }, el("button", {}, "Judge")),
    );
    panel.append(el("div", { class: "columns" },
      el("div", { class: "card" }, el("h2", {}, "Verdict"), this.verdict, form),
      el("div", { class: "card" }, el("h2", {}, "Ledger"), this.ledger)));
  }

  async open() {
    await this.refresh();
  }

  async refresh() {
    const options = new URLSearchParams();
    if (this.rows.value.trim()) options.set("rows", this.rows.value.trim());
    if (this.attempts.value.trim()) options.set("max_attempts", this.attempts.value.trim());
    if (this.givesUp.checked) options.set("allow_giving_up", "true");
    try {
      this.show(await get(`verdict?${options}`));
    } catch (error) {
      replace(this.verdict, el("p", { class: "said bad" }, error.message));
    }
    this.showLedger(await get("ledger?entries=false"));
  }

  show(verdict) {
    const judged = `${counted(verdict.exchanges)} requests in ${counted(verdict.calls)} calls`;
    const line = verdict.ok ? "Nothing found" : `${counted(verdict.findings.length)} ${verdict.findings.length === 1 ? "finding" : "findings"}`;
    replace(
      this.verdict,
      el("p", { class: `big ${verdict.ok ? "good" : "bad"}` }, line),
      el("p", { class: "hint" }, `${judged}${verdict.dropped ? `; ${counted(verdict.dropped)} are forgotten and were not judged` : ""}`),
      el("div", { class: "findings" },
        verdict.findings.slice(0, 200).map((each) => this.finding(each, each.severity)),
        verdict.notes.slice(0, 100).map((each) => this.finding(each, "note"))),
    );
  }

  finding(finding, kind) {
    const links = finding.exchanges.slice(0, 8).map((number) =>
      el("button", { type: "button", class: "link", onclick: () => this.onExchange(number) }, `#${number}`));
    return el("div", { class: `finding ${kind}` },
      el("p", { class: "row" }, el("strong", {}, finding.rule), el("span", { class: `chip ${kind === "certain" ? "bad" : kind === "likely" ? "odd" : ""}` }, kind)),
      el("p", {}, finding.message),
      finding.advice ? el("p", { class: "hint" }, finding.advice) : null,
      links.length ? el("p", { class: "row hint" }, "exchanges", links) : null);
  }

  showLedger(ledger) {
    const { total } = ledger;
    const heads = ["", "#requests", "#refused", "#prompt", "#completion", "#billed", "#sent"];
    const row = (name, sum) => [name || "–", ...[sum.requests, sum.refused, sum.prompt_tokens, sum.completion_tokens, sum.billable_tokens].map(counted), size(sum.sent_bytes)];
    const part = (name, sums, shown = (each) => each) => table([`by ${name}`, ...heads.slice(1)], Object.entries(sums).slice(0, 50).map(([each, sum]) => row(shown(each), sum)));
    if (!total.requests) {
      replace(this.ledger, el("p", { class: "empty" }, "Nothing has been asked, so nothing has been spent."));
      return;
    }
    const lost = total.generated_bytes - total.sent_bytes;
    replace(this.ledger,
      el("p", { class: "big" }, `${counted(total.billable_tokens)} tokens billed`),
      el("p", { class: "hint" }, `${size(total.generated_bytes)} generated, ${size(total.sent_bytes)} sent${lost > 0 ? "; what was not sent was billed all the same" : ""}`),
      part("model", ledger.by_model), part("surface", ledger.by_surface), part("key", ledger.by_key, (key) => (key ? `${key.slice(0, 8)}…` : "")));
  }
}
