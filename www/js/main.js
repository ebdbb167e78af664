// The page's controller: the form, and who is told what.

import { Answer } from "./answer.js";
import { Limits } from "./limits.js";
import { send } from "./message.js";
import { show, the } from "./page.js";
import { fillSnippets } from "./snippets.js";
import { watchState } from "./state.js";

const form = /** @type {HTMLFormElement} */ (the("ask"));
const key = /** @type {HTMLInputElement} */ (the("key"));
const model = /** @type {HTMLInputElement} */ (the("model"));
const maxTokens = /** @type {HTMLInputElement} */ (the("max-tokens"));
const prompt = /** @type {HTMLTextAreaElement} */ (the("prompt"));
const sendButton = /** @type {HTMLButtonElement} */ (the("send"));
const stopButton = /** @type {HTMLButtonElement} */ (the("stop"));

/** @type {AbortController | undefined} */
let running;
/** @type {Answer | undefined} */
let answer;

watchState();
fillSnippets();
const limits = new Limits();

key.addEventListener("change", () => {
  const problem = key.value.trim() ? keyProblem() : "";
  keySays(problem);
  limits.follow(problem ? "" : key.value.trim());
});
stopButton.addEventListener("click", () => running?.abort());
prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running || !sound()) return;
  running = new AbortController();
  busy(true);
  answer?.leave();
  answer = new Answer();
  const ask = { key: key.value.trim(), model: model.value.trim(), prompt: prompt.value, maxTokens: maxTokens.valueAsNumber };
  const told = answer;
  try {
    const problem = await send(ask, running.signal, (piece) => told.tell(piece));
    if (problem) told.failed(problem);
    else told.complete();
  } catch {
    told.stopped();
  } finally {
    running = undefined;
    busy(false);
    limits.follow(ask.key);
  }
});

/** Whether the form can be sent; says where it cannot, and goes there. */
function sound() {
  const problem = keyProblem();
  keySays(problem);
  const fields = [problem ? key : undefined, ...[model, maxTokens, prompt].filter((field) => !field.checkValidity())];
  for (const field of [model, maxTokens, prompt]) field.setAttribute("aria-invalid", String(!field.checkValidity()));
  const first = fields.find((field) => field !== undefined);
  first?.focus();
  return first === undefined;
}

function keyProblem() {
  const text = key.value.trim();
  if (!text) return "A key is needed.";
  if (text.startsWith("sk-ant-")) return "This is a provider’s key. It belongs to the gate’s operator; a key for this form starts with tg_sk_.";
  // Headers carry no others, and fetch would fail without a word.
  return /^[\x21-\x7e]+$/.test(text) ? "" : "A key has no spaces or letters beyond ASCII: copy it again.";
}

/** @param {string} problem */
function keySays(problem) {
  the("key-wrong").textContent = problem;
  show(the("key-wrong"), problem !== "");
  key.setAttribute("aria-invalid", String(problem !== ""));
}

/** @param {boolean} is */
function busy(is) {
  // The one with the focus goes last, so that the keyboard keeps its place.
  const focused = document.activeElement;
  sendButton.disabled = is;
  stopButton.disabled = !is;
  if (is && focused === sendButton) stopButton.focus();
  if (!is && (focused === stopButton || document.activeElement === document.body)) sendButton.focus();
}
