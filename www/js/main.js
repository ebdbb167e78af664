// The page's controller: who is told of what is typed, and of what is sent.

import { Answer } from "./answer.js";
import { Counting } from "./counting.js";
import { imageCosts, imageData, maxWait, prompt, request, unsound, watchDraft } from "./draft.js";
import { look, mark, watchEmulator } from "./emulator.js";
import { showExact, showFailure, showMeasure } from "./figures.js";
import { Limits } from "./limits.js";
import { send } from "./message.js";
import { make, show, the, wrong } from "./page.js";
import { fillSnippets } from "./snippets.js";
import { watchState } from "./state.js";
import { Tokens } from "./tokens.js";
import { number } from "./words.js";

/** Where the key is kept if its owner says so: for this tab, until it is closed. */
const KEPT = "tollgate-key";

const form = /** @type {HTMLFormElement} */ (the("ask"));
const key = /** @type {HTMLInputElement} */ (the("key"));
const keep = /** @type {HTMLInputElement} */ (the("keep"));
const model = /** @type {HTMLSelectElement} */ (the("model"));
const sendButton = /** @type {HTMLButtonElement} */ (the("send"));
const stopButton = /** @type {HTMLButtonElement} */ (the("stop"));

/** @type {AbortController | undefined} */
let running;
/** @type {Answer | undefined} */
let answer;
/** What the gate had learned of the model when it was counted by last. @type {string | undefined} */
let countedBy;

watchState();
fillSnippets();
void watchEmulator();
const limits = new Limits((ids) => {
  offer(ids);
  // What is shown was counted by less than the gate now knows.
  if (JSON.stringify(limits.calibration(model.value)) !== countedBy) count();
});

const counting = new Counting({
  measured(measure, models) {
    offer(models.filter((known) => !known.retired).map((known) => known.id));
    showMeasure(measure);
    imageCosts(measure.parts.find((/** @type {any} */ part) => part.name === "images")?.estimate);
  },
  changed(change) {
    tokens.change(change);
    if (document.activeElement === prompt) tokens.follow(prompt.selectionStart);
    if (!claude()) showExact(change.tokens, change.encoding);
    the("tokens-count").textContent = number(change.tokens);
    the("tokens-by").textContent = change.encoding;
    tokensSay(claude() ? "Cut by OpenAI’s vocabulary, exactly, to show the shape of the text. Claude’s own is not published." : "");
  },
  cut: (id, cut) => tokens.cut(id, cut),
  loading: (encoding) => tokensSay(`Loading ${encoding}, once…`),
  failed(failure) {
    // Claude's count needs no vocabulary: only the colours are missing.
    if (claude() && failure.code === "bad_vocabulary") return tokensSay(`The tokens cannot be shown: ${failure.message}`);
    showFailure(failure);
  },
  settled: () => void the("figures").setAttribute("aria-busy", "false"),
});
const tokens = new Tokens((id) => counting.draw(id));

watchDraft(count);
model.addEventListener("input", () => {
  count();
  show(the("no-send"), !claude());
  sendButton.disabled = running !== undefined || !claude();
});
count();

if (sessionStorage.getItem(KEPT)) {
  key.value = sessionStorage.getItem(KEPT) ?? "";
  keep.checked = true;
  followKey();
}
// While it is typed: a sentence that came or went only when the field is left would
// move Send away from under the pointer that is just pressing it.
key.addEventListener("input", () => wrong(key, key.value.trim() ? keyProblem() : ""));
key.addEventListener("change", () => {
  followKey();
  keepKey();
});
keep.addEventListener("change", keepKey);

stopButton.addEventListener("click", () => running?.abort());
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running || !claude() || !sound()) return;
  running = new AbortController();
  busy(true);
  answer?.leave();
  answer = new Answer();
  const ask = { key: key.value.trim(), waitS: maxWait.valueAsNumber, request: { model: model.value, ...request(prompt.value) } };
  const told = answer;
  try {
    await mark();
    const problem = await send(ask, running.signal, (piece) => told.tell(piece));
    if (problem) told.failed(problem);
    else told.complete();
  } catch {
    told.stopped();
  } finally {
    running = undefined;
    busy(false);
    limits.follow(ask.key);
    await look();
  }
});

function count() {
  the("figures").setAttribute("aria-busy", "true");
  counting.count(() => {
    const calibration = limits.calibration(model.value);
    countedBy = JSON.stringify(calibration);
    return { choice: model.value, calibration, text: prompt.value, image: imageData(), request: request("", "") };
  });
}

/** Whether the model is one that can also be asked. */
function claude() {
  return model.selectedOptions[0]?.dataset.exact === undefined;
}

/**
 * Adds models to the picker: those that the counter knows, and those that a key may use.
 *
 * @param {string[]} ids
 */
function offer(ids) {
  const known = new Set([...model.options].map((option) => option.value));
  the("models-claude").append(...ids.filter((id) => id.startsWith("claude-") && !known.has(id)).map((id) => Object.assign(make("option", id), { value: id })));
}

/** Whether the form can be sent; says where it cannot, and goes there. */
function sound() {
  const problem = keyProblem();
  wrong(key, problem);
  const first = unsound() ?? (problem ? key : undefined);
  first?.focus();
  return first === undefined;
}

function followKey() {
  const problem = key.value.trim() ? keyProblem() : "";
  wrong(key, problem);
  limits.follow(problem ? "" : key.value.trim());
}

function keepKey() {
  if (keep.checked && key.value.trim() && !keyProblem()) sessionStorage.setItem(KEPT, key.value.trim());
  else sessionStorage.removeItem(KEPT);
}

function keyProblem() {
  const text = key.value.trim();
  if (!text) return "A key is needed.";
  if (text.startsWith("sk-ant-")) return "This is a provider’s key. It belongs to the gate’s operator; a key for this form starts with tg_.";
  // Headers carry no others, and fetch would fail without a word.
  return /^[\x21-\x7e]+$/.test(text) ? "" : "A key has no spaces or letters beyond ASCII: copy it again.";
}

/** @param {string} sentence */
function tokensSay(sentence) {
  the("tokens-says").textContent = sentence;
}

/** @param {boolean} is */
function busy(is) {
  // The one with the focus goes last, so that the keyboard keeps its place.
  const focused = document.activeElement;
  sendButton.disabled = is || !claude();
  stopButton.disabled = !is;
  if (is && focused === sendButton) stopButton.focus();
  if (!is && (focused === stopButton || document.activeElement === document.body)) sendButton.focus();
}
