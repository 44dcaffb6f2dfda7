// Faults and scripts by hand: a form made from what the server says that faults take, and the raw JSON.

import { get, post, remove } from "./api.js";
import { el, replace, say } from "./dom.js";

const EVERY = [
  ["times", "times", "1, or forever", "json"],
  ["probability", "probability", "0 to 1: drawn for every call", "json"],
  ["match.path", "path is like", "/v1/chat/*", "text"],
  ["match.model", "model is like", "gpt-4o*", "text"],
  ["match.nth", "only call number", "any", "json"],
];

export class ScriptView {
  constructor(panel, { onChange }) {
    this.onChange = onChange;
    this.fields = new Map();
    this.build(panel);
  }

  build(panel) {
    this.choice = el("select", { id: "fault-choice", onchange: () => this.choose() });
    this.about = el("p", { class: "hint" });
    this.own = el("div", { class: "fields" });
    this.every = el("div", { class: "fields" }, EVERY.map(([name, label, placeholder, kind]) => this.field(name, label, placeholder, "", kind)));
    this.reply = el("input", { type: "text", id: "field-reply", placeholder: "leave empty: a generated reply" });
    this.formSaid = el("p", { class: "said", role: "alert" });
    const form = el(
      "form",
      { class: "card", "aria-labelledby": "form-title", onsubmit: (event) => this.submit(event, "script/steps") },
      el("h2", { id: "form-title" }, "What happens next"),
      el("label", {}, "Fault", this.choice),
      this.about,
      this.own,
      el("label", {}, "Reply in these words", this.reply),
      el("details", {}, el("summary", {}, "How often, and for which calls"), this.every),
      el("div", { class: "row" },
        el("button", { class: "primary", id: "add-step" }, "Add step"),
        el("button", { type: "button", onclick: () => this.submit(null, "script") }, "Replace script"),
        el("button", { type: "button", class: "quiet", onclick: () => this.toEditor() }, "Show as JSON")),
      this.formSaid,
    );
    this.editor = el("textarea", { id: "script-editor", spellcheck: "false", "aria-label": "Script as JSON", rows: 10 });
    this.editor.value = '{\n  "steps": [\n    {"fault": "rate_limited", "retry_after_s": 1, "times": 2},\n    {"reply": "Hello"}\n  ],\n  "seed": 7\n}';
    this.rawSaid = el("p", { class: "said", role: "alert" });
    const raw = el(
      "div",
      { class: "card" },
      el("h2", {}, "The same as JSON"),
      this.editor,
      el("div", { class: "row" },
        el("button", { type: "button", class: "primary", id: "install-raw", onclick: () => this.send("script", this.editor.value, this.rawSaid) }, "Replace script"),
        el("button", { type: "button", onclick: () => this.send("script/steps", this.editor.value, this.rawSaid) }, "Append")),
      this.rawSaid,
    );
    panel.append(el("div", { class: "columns" }, form, el("div", { class: "part" }, this.buildLeft(), raw)));
  }

  buildLeft() {
    this.steps = el("ol", { class: "steps", "aria-label": "Steps left" });
    this.token = el("input", { type: "text", id: "token", spellcheck: "false", autocomplete: "off", class: "mono" });
    this.tokenSaid = el("p", { class: "said", role: "alert" });
    return el(
      "div",
      { class: "card" },
      el("div", { class: "row spread" }, el("h2", {}, "Steps still to come"),
        el("button", { type: "button", class: "quiet danger", onclick: () => this.clear() }, "Clear")),
      this.steps,
      el("label", {}, "Token: this script and its seed in one word", this.token),
      el("div", { class: "row" },
        el("button", { type: "button", onclick: () => this.copy() }, "Copy"),
        el("button", { type: "button", onclick: () => this.send("script", { token: this.token.value.trim() }, this.tokenSaid) }, "Install token")),
      this.tokenSaid,
    );
  }

  field(name, label, placeholder, hint, kind, options = null) {
    const id = `field-${name.replace(".", "-")}`;
    const input = options
      ? el("select", { id }, el("option", { value: "" }, placeholder || "default"), options.map((each) => el("option", { value: JSON.stringify(each) }, String(each))))
      : el("input", { id, type: "text", placeholder, autocomplete: "off" });
    const read = () => (input.value === "" ? undefined : kind === "text" ? input.value : parsed(input.value));
    this.fields.set(name, { input, read });
    return el("label", {}, label, input, hint ? el("span", { class: "hint" }, hint) : null);
  }

  async open() {
    if (!this.kinds) {
      const { faults } = await get("faults");
      this.kinds = new Map(faults.map((each) => [each.name, each]));
      const groups = ["response", "stream", "connection"].map((place) =>
        el("optgroup", { label: `on the ${place}` }, faults.filter((each) => each.acts_on === place).map((each) => el("option", {}, each.name))));
      replace(this.choice, el("option", { value: "" }, "none: only the reply"), groups);
      this.choice.value = "rate_limited";
      this.choose();
    }
    await this.refresh();
  }

  choose() {
    for (const name of this.ownNames ?? []) this.fields.delete(name);
    const kind = this.kinds.get(this.choice.value);
    this.about.textContent = kind ? `${kind.description}` : "The call gets the reply below, and nothing goes wrong.";
    this.ownNames = kind ? Object.keys(kind.parameters) : [];
    replace(this.own, Object.entries(kind?.parameters ?? {}).map(([name, each]) => this.ownField(name, each)));
    say(this.formSaid, "");
  }

  ownField(name, parameter) {
    const variants = parameter.schema.anyOf ?? [parameter.schema];
    const enumerated = variants.filter((each) => each.enum).flatMap((each) => each.enum);
    const isChoice = enumerated.length && variants.every((each) => each.enum || each.type === "null");
    const options = parameter.schema.type === "boolean" ? [true, false] : isChoice ? enumerated : null;
    const kind = variants.some((each) => each.type === "string") && !variants.some((each) => each.type === "number" || each.type === "integer") ? "text" : "json";
    const fallback = parameter.required ? "needed" : parameter.default === null ? "left out" : `${typeof parameter.default === "string" ? parameter.default : JSON.stringify(parameter.default)}`;
    return this.field(name, parameter.required ? `${name} (needed)` : name, fallback, options ? "" : parameter.takes, options ? "json" : kind, options);
  }

  step() {
    const step = {};
    if (this.choice.value) step.fault = this.choice.value;
    if (this.reply.value || !step.fault) step.reply = this.reply.value || null;
    for (const [name, { read }] of this.fields) {
      const value = read();
      if (value === undefined) continue;
      if (name.startsWith("match.")) step.match = { ...step.match, [name.slice(6)]: value };
      else step[name] = value;
    }
    return step;
  }

  async submit(event, where) {
    event?.preventDefault();
    await this.send(where, { steps: [this.step()] }, this.formSaid);
  }

  toEditor() {
    this.editor.value = JSON.stringify({ steps: [this.step()] }, null, 2);
    this.editor.focus();
  }

  async send(where, body, said) {
    for (const { input } of this.fields.values()) input.removeAttribute("aria-invalid");
    try {
      const answer = await post(where, body);
      say(said, where === "script" ? "The script is in place." : `Added. ${answer.steps.length} ${answer.steps.length === 1 ? "step" : "steps"} to come.`);
      await this.refresh();
      this.onChange();
    } catch (error) {
      say(said, error.message, true);
      if (said === this.formSaid) this.mark(error.message);
    }
  }

  mark(message) {
    const name = /steps\[0\]\.([\w.]+)/.exec(message)?.[1];
    this.fields.get(name)?.input.setAttribute("aria-invalid", "true");
  }

  async clear() {
    await remove("script");
    say(this.formSaid, "");
    await this.refresh();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.token.value);
      say(this.tokenSaid, "Copied.");
    } catch {
      this.token.select();
      say(this.tokenSaid, "Selected: copy it with your keyboard.");
    }
  }

  async refresh() {
    const script = await get("script");
    const items = script.steps.slice(0, 200).map((step, index) =>
      el("li", {}, el("span", { class: "nth" }, String(index + 1)), el("code", {}, JSON.stringify(step))));
    replace(this.steps, items.length ? items : el("p", { class: "empty" }, "None: every call is answered normally."));
    if (document.activeElement !== this.token && script.token !== this.lastToken) this.token.value = this.lastToken = script.token;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
