// What the limits leave: GET /v1/limits, asked again when it says so.

import { problemOf } from "./message.js";
import { make, the } from "./page.js";
import { amount, named, number, seconds } from "./words.js";

/** Whatever the gate says: not oftener, and not so rarely that a meter lies. */
const POLL_MS_MIN = 1_000;
const POLL_MS_MAX = 60_000;
/** Meters of limits that are nearly used up change their colour below this part. */
const LOW = 0.25;

/** Follows one key's limits at a time. */
export class Limits {
  #key = "";
  #etag = "";
  /** @type {any} */
  #told;
  /** @type {AbortController | undefined} */
  #call;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  #learned;

  /** @param {(models: string[]) => void} learned the models that the key may use */
  constructor(learned) {
    this.#learned = learned;
    document.addEventListener("visibilitychange", () => this.refresh());
    the("model").addEventListener("input", () => this.#draw());
  }

  /**
   * Asks at once, also for a key that is followed already.
   *
   * @param {string} key none: forget the last one
   */
  follow(key) {
    if (key !== this.#key) {
      this.#key = key;
      this.#etag = "";
      this.#told = undefined;
      this.#draw();
      says(key ? "Asking…" : "Enter a key to see what it may still use.");
    }
    this.refresh();
  }

  /** What the gate learned of a model's estimates. @param {string} model */
  calibration(model) {
    return this.#told?.models?.[model]?.calibration;
  }

  /** Asks now, if there is a key and somebody looks. */
  refresh() {
    clearTimeout(this.#timer);
    this.#call?.abort();
    if (this.#key && document.visibilityState === "visible") void this.#ask();
  }

  async #ask() {
    const call = new AbortController();
    this.#call = call;
    let next = POLL_MS_MAX;
    try {
      const headers = { "x-api-key": this.#key, ...(this.#etag && { "if-none-match": this.#etag }) };
      const response = await fetch("/v1/limits", { headers, cache: "no-store", signal: call.signal });
      if (response.status === 200) {
        this.#told = await response.json();
        this.#etag = response.headers.get("etag") ?? "";
        says("");
        this.#learned(Object.keys(this.#told.models ?? {}));
        this.#draw();
      } else if (response.status !== 304) {
        this.#told = undefined;
        this.#etag = "";
        this.#draw();
        says(problemOf(await response.json().catch(() => undefined)).says);
        // A key that is refused stays refused; anything else may pass.
        if (response.status < 500) return;
      }
      next = this.#told?.next_poll_ms ?? next;
    } catch {
      if (call.signal.aborted) return;
      says("The gate does not answer.");
    }
    if (call.signal.aborted) return;
    this.#timer = setTimeout(() => this.refresh(), Math.min(Math.max(next, POLL_MS_MIN), POLL_MS_MAX));
  }

  #draw() {
    const told = this.#told;
    if (!told) return the("meters").replaceChildren();
    const id = /** @type {HTMLSelectElement} */ (the("model")).value;
    const accounts = (told.accounts ?? []).flatMap((/** @type {any} */ account) => account.limits);
    const own = [...told.limits, ...accounts].map(meter);
    the("meters").replaceChildren(...now(id, told.models[id]), ...own);
    if (own.length === 0) the("meters").append(make("p", "This key has no limits of its own: the provider’s are shared by all.", "hint"));
  }
}

/**
 * What one request could use now, over all limits.
 *
 * @param {string} id
 * @param {any} model
 */
function now(id, model) {
  const head = make("h3", id);
  if (!model) return [head, make("p", "Not among the models that this key may use.", "hint")];
  if (!model.available) return [head, make("p", "Its limits are learned from the first answers.", "hint")];
  const { requests, input_tokens, output_tokens } = model.available;
  const row = (/** @type {string} */ name, /** @type {number} */ value) => {
    const line = make("div", undefined, "meter");
    line.append(make("span", name), make("strong", number(value)));
    return line;
  };
  return [head, row("Requests, now", requests), row("Input tokens, now", input_tokens), row("Output tokens, now", output_tokens)];
}

/** @param {{scope: string, kind: string, level: number, capacity: number, resets_ms: number}} limit */
function meter({ scope, kind, level, capacity, resets_ms }) {
  const left = Math.max(level, 0);
  const name = named(scope, kind);
  const line = make("div", undefined, "meter");
  line.classList.toggle("none", left === 0);
  const bar = document.createElement("meter");
  Object.assign(bar, { min: 0, max: capacity, low: capacity * LOW, high: capacity * LOW, optimum: capacity, value: left });
  bar.setAttribute("aria-label", name);
  bar.textContent = `${amount(kind, left)} of ${amount(kind, capacity)}`;
  line.append(make("span", name), make("strong", amount(kind, left)), bar);
  const window = /_(day|week|month)$/.test(kind) ? "new in" : kind.endsWith("_life") ? "ends in" : "full in";
  const when = resets_ms > 0 ? `, ${window} ${seconds(resets_ms)}` : "";
  line.append(make("span", `of ${amount(kind, capacity)}${when}`, "quiet"));
  return line;
}

/** @param {string} sentence */
function says(sentence) {
  the("limits-says").textContent = sentence;
}
