// The views, the keys, and the pulse: the page asks for what is new as long as it is open.

import { get, post } from "./api.js";
import { counted } from "./dom.js";
import { JournalView } from "./journal.js";
import { LimitsView } from "./limits.js";
import { PlotsView } from "./plots.js";
import { ScriptView } from "./script.js";
import { VerdictView } from "./verdict.js";

const NAMES = ["journal", "script", "limits", "verdict", "plots"];
const panel = (name) => document.getElementById(`panel-${name}`);
const tab = (name) => document.getElementById(`tab-${name}`);
const pulse = document.getElementById("pulse");
const help = document.getElementById("help");
const resetDialog = document.getElementById("reset-dialog");

const journal = new JournalView(panel("journal"), { onSelect: () => {} });
const views = {
  journal,
  script: new ScriptView(panel("script"), { onChange: () => {} }),
  limits: new LimitsView(panel("limits")),
  verdict: new VerdictView(panel("verdict"), {
    onExchange: async (number) => {
      show("journal");
      await journal.select(number);
      journal.detail.focus();
    },
  }),
  plots: new PlotsView(panel("plots"), journal),
};
let current = "journal";

function show(name, { focuses = false } = {}) {
  current = name;
  for (const each of NAMES) {
    const isIt = each === name;
    panel(each).hidden = !isIt;
    tab(each).setAttribute("aria-selected", String(isIt));
    tab(each).tabIndex = isIt ? 0 : -1;
  }
  history.replaceState(null, "", `#${name}`);
  if (focuses) tab(name).focus();
  if (name === "journal") journal.draw();
  Promise.resolve(views[name].open?.()).catch(lost);
}

function lost(error) {
  pulse.textContent = `no answer from the server: ${error.message}`;
  pulse.classList.add("lost");
}

async function beat() {
  const began = performance.now();
  try {
    const health = await get("health");
    const isNew = await journal.poll(health.requests);
    pulse.textContent = `${counted(health.requests)} ${health.requests === 1 ? "exchange" : "exchanges"} · live`;
    pulse.classList.remove("lost");
    if (current === "limits" || current === "script") await views[current].refresh();
    else if (isNew && current !== "journal") await views[current].refresh();
  } catch (error) {
    lost(error);
  }
  const took = performance.now() - began;
  setTimeout(beat, Math.max(document.hidden ? 5000 : 700, took * 4));
}

const isTyping = (target) => target.closest("input:not([type=checkbox]), textarea, select") !== null;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && current === "journal") {
    journal.close();
    return;
  }
  if (isTyping(event.target)) return;
  const number = "12345".indexOf(event.key);
  if (event.key.length === 1 && number >= 0) show(NAMES[number], { focuses: true });
  else if (event.key === "?") help.showModal();
  else if (event.key === "/") {
    event.preventDefault();
    show("journal");
    journal.search.focus();
  } else if ((event.key === "j" || event.key === "k") && current === "journal") journal.step(event.key === "j" ? 1 : -1);
});

document.getElementById("tabs").addEventListener("keydown", (event) => {
  const at = NAMES.indexOf(current);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: NAMES.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  show(NAMES[(to + NAMES.length) % NAMES.length], { focuses: true });
});
for (const name of NAMES) tab(name).addEventListener("click", () => show(name));
document.getElementById("help-open").addEventListener("click", () => help.showModal());
document.getElementById("reset").addEventListener("click", () => resetDialog.showModal());
resetDialog.addEventListener("close", async () => {
  if (resetDialog.returnValue !== "yes") return;
  resetDialog.returnValue = "";
  try {
    await post("reset");
    journal.forget();
    await views[current].open?.();
  } catch (error) {
    lost(error);
  }
});

show(NAMES.includes(location.hash.slice(1)) ? location.hash.slice(1) : "journal");
beat();
