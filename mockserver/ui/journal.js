// The live list of exchanges, of which only the rows in sight exist, and the one that is looked at.

import { get } from "./api.js";
import { counted, duration, el, replace } from "./dom.js";
import { shown, statusChip } from "./exchange.js";

const ROW = 54;
const MOST_AT_FIRST = 10000;

export class JournalView {
  constructor(panel, { onSelect }) {
    this.entries = [];
    this.places = new Map();
    this.rows = new Map();
    this.visible = [];
    this.since = 0;
    this.selected = null;
    this.onSelect = onSelect;
    this.follows = true;
    this.memory = {};
    this.build(panel);
  }

  build(panel) {
    this.search = el("input", { type: "search", "aria-label": "Filter", placeholder: "Filter: path, model, status, fault", oninput: () => this.filter() });
    this.failures = el("input", { type: "checkbox", onchange: () => this.filter() });
    this.count = el("span", { class: "hint", "aria-live": "off" });
    this.runway = el("div", { class: "runway", role: "presentation" });
    this.list = el("div", { class: "list", id: "journal-list", role: "listbox", tabindex: 0, "aria-label": "Exchanges" }, this.runway);
    this.list.addEventListener("scroll", () => this.scrolled());
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", (event) => this.clicked(event));
    const failing = el("label", { class: "check" }, this.failures, "only what went wrong");
    this.side = el("div", { class: "card side" }, this.search, el("div", { class: "row spread" }, failing, this.count), this.list);
    this.detail = el("article", { class: "card detail", tabindex: -1, "aria-label": "Exchange" });
    this.root = el("div", { class: "journal bare" }, this.side, this.detail);
    panel.append(this.root);
    new ResizeObserver(() => this.draw()).observe(this.list);
    this.showEmpty();
  }

  async poll(requests) {
    if (requests < this.entries.length) this.forget();
    const limit = this.since ? "" : `&limit=${MOST_AT_FIRST}`;
    const answer = await get(`journal?bodies=false&since=${this.since}${limit}`);
    this.since = answer.next;
    if (!answer.exchanges.length) return false;
    for (const exchange of answer.exchanges) this.put(exchange);
    this.filter();
    if (answer.exchanges.some((exchange) => exchange.number === this.selected)) await this.load();
    return true;
  }

  put(exchange) {
    const place = this.places.get(exchange.number);
    if (place !== undefined) this.entries[place] = exchange;
    else {
      this.places.set(exchange.number, this.entries.length);
      this.entries.push(exchange);
    }
  }

  forget() {
    this.entries = [];
    this.places.clear();
    this.since = 0;
    this.selected = null;
    this.root.classList.remove("open");
    this.root.classList.add("bare");
    this.filter();
    this.showEmpty();
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isWrong = (each) => each.fault !== null || each.status >= 400 || (each.ended_at !== null && !each.complete);
    this.visible = this.entries.filter((each) => {
      if (this.failures.checked && !isWrong(each)) return false;
      if (!words.length) return true;
      const text = `${each.number} ${each.method} ${each.path} ${each.model} ${each.deployment} ${each.status} ${each.fault} ${each.outcome}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const all = this.entries.length;
    this.count.textContent = this.visible.length === all ? counted(all) : `${counted(this.visible.length)} of ${counted(all)}`;
    this.root.classList.toggle("bare", !all);
    if (this.invitation) this.invitation.textContent = all ? "Choose an exchange" : "Nothing has been asked yet";
    this.runway.style.height = `${this.visible.length * ROW}px`;
    if (this.follows) this.list.scrollTop = this.list.scrollHeight;
    this.draw();
  }

  scrolled() {
    this.follows = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - ROW;
    this.draw();
  }

  draw() {
    const first = Math.max(Math.floor(this.list.scrollTop / ROW) - 4, 0);
    const last = Math.min(first + Math.ceil(this.list.clientHeight / ROW) + 8, this.visible.length);
    const rows = this.visible.slice(first, last).map((exchange, index) => this.kept(exchange, first + index));
    const isSame = rows.length === this.runway.children.length && rows.every((row, index) => row === this.runway.children[index]);
    if (!isSame) replace(this.runway, rows);
    const chosen = document.getElementById(`exchange-${this.selected}`);
    if (chosen) this.list.setAttribute("aria-activedescendant", chosen.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  // Rows stay the same elements as long as they say the same, so that one can be clicked while others change.
  kept(exchange, index) {
    const { number } = exchange;
    const isChosen = number === this.selected;
    const known = this.rows.get(number);
    const row = known?.exchange === exchange ? known.row : this.row(exchange);
    if (this.rows.size > 400) this.rows.clear();
    this.rows.set(number, { exchange, row });
    row.style.top = `${index * ROW}px`;
    for (const [name, value] of [["aria-selected", isChosen], ["aria-setsize", this.visible.length], ["aria-posinset", index + 1]]) row.setAttribute(name, String(value));
    return row;
  }

  row(exchange) {
    const took = exchange.ended_at === null ? "…" : duration(exchange.ended_at - exchange.started_at);
    const mishap = exchange.fault ?? (exchange.client_left ? "client left" : exchange.attempt > 1 ? `attempt ${exchange.attempt}` : "");
    const of = [exchange.deployment ?? exchange.model, exchange.stream ? "stream" : null, exchange.dialect].filter(Boolean).join(" · ");
    return el(
      "div",
      { class: "entry", role: "option", id: `exchange-${exchange.number}`, "data-number": exchange.number },
      statusChip(exchange),
      el("span", { class: "what" }, exchange.operation ? `${exchange.surface} ${exchange.path.replace(/^\/(openai\/)?(deployments\/[^/]+\/)?(v1\/)?/, "/")}` : `${exchange.method} ${exchange.path}`),
      el("span", { class: "took" }, took),
      el("span", { class: "of" }, `#${exchange.number}${of ? ` · ${of}` : ""}`),
      mishap ? el("span", { class: "mishap" }, mishap) : null,
    );
  }

  clicked(event) {
    const row = event.target.closest(".entry");
    if (row) this.select(Number(row.dataset.number));
  }

  key(event) {
    const page = Math.max(Math.floor(this.list.clientHeight / ROW) - 1, 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      this.step(by);
    } else if (event.key === "Enter" && this.selected !== null) this.detail.focus();
  }

  step(by) {
    if (!this.visible.length) return;
    const at = this.visible.findIndex((each) => each.number === this.selected);
    const from = at >= 0 ? at + by : by > 0 && by !== Infinity ? 0 : this.visible.length - 1;
    const to = Math.min(Math.max(at < 0 && by === -Infinity ? 0 : from, 0), this.visible.length - 1);
    this.reveal(to);
    this.select(this.visible[to].number, { opens: false });
  }

  reveal(index) {
    const top = index * ROW;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top + ROW > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top + ROW - this.list.clientHeight;
  }

  async select(number, { opens = true } = {}) {
    if (number !== this.selected) this.memory = {};
    this.selected = number;
    this.follows = false;
    if (opens) this.root.classList.add("open");
    this.draw();
    if (opens && this.list.offsetParent === null) this.detail.focus();
    await this.load();
    this.onSelect(number);
  }

  async load() {
    const number = this.selected;
    try {
      const exchange = await get(`journal/${number}`);
      if (number === this.selected) this.show(exchange);
    } catch (error) {
      if (number === this.selected) replace(this.detail, el("p", { class: "said bad" }, error.message));
    }
  }

  show(exchange) {
    const back = el("button", { type: "button", class: "back", onclick: () => this.close() }, "← all exchanges");
    const active = document.activeElement;
    const holds = this.detail.contains(active) && active !== this.detail;
    const heldChunk = holds && active.closest(".chunks") !== null;
    replace(this.detail, back, shown(exchange, this.memory));
    if (holds) (heldChunk ? this.detail.querySelector(".chunks [tabindex='0']") : this.detail)?.focus();
  }

  close() {
    this.root.classList.remove("open");
    this.list.focus();
  }

  showEmpty() {
    const origin = location.origin;
    this.invitation = el("h2", {}, "Nothing has been asked yet");
    replace(
      this.detail,
      this.invitation,
      el("div", { class: "empty" },
        el("p", {}, "Point a client here, and every request appears in this list:"),
        el("pre", {}, `export OPENAI_BASE_URL=${origin}/v1\nexport OPENAI_API_KEY=any`),
        el("p", {}, "or, for Azure:"),
        el("pre", {}, `export AZURE_OPENAI_ENDPOINT=${origin}\nexport AZURE_OPENAI_API_KEY=any`),
        el("p", {}, "or ask by hand:"),
        el("pre", {}, `curl ${origin}/v1/chat/completions -H 'authorization: Bearer any' -H 'content-type: application/json' -d '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}'`),
        el("p", {}, "Then choose a fault under “Faults”, and see what the client makes of it.")),
    );
  }
}
