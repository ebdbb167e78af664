// Counts off the main thread: the newest text goes to the web worker as soon as it
// is free, and what was typed in between is skipped.

/**
 * @typedef {object} Draft what is to be counted
 * @property {string} choice a Claude model, or one of OpenAI's vocabularies
 * @property {unknown} calibration what the gate learned of that model's estimates, where it told
 * @property {string} text the prompt: its tokens are drawn
 * @property {string | undefined} image base64
 * @property {object} request the rest, with the image and the last text of its last message left empty
 *
 * @typedef {{text: string, ids: Uint32Array, ends: number[], tokens: number[]}} Cut
 * @typedef {{id: number, units: number, cut?: Cut}} NewBlock
 *
 * @typedef {object} Told
 * @property {(measure: any, models: any[]) => void} measured
 * @property {(change: {tokens: number, encoding: string, at: number, removed: number, added: NewBlock[]}) => void} changed
 * @property {(id: number, cut: Cut) => void} cut
 * @property {(encoding: string) => void} loading
 * @property {(failure: {code: string, message: string}) => void} failed
 * @property {() => void} settled nothing newer is under way
 */

/** Beyond so many units a text is counted when the typing pauses: to lay it out at each key takes the page long enough. */
const UNITS_AT_ONCE_MAX = 100_000;
const PAUSE_MS = 120;
/** Who types without a pause sees a count now and then. */
const PATIENCE_MS = 1_000;

/** The one script address that this page makes: see `trusted-types` in _headers. */
const SCRIPT = "/js/count-thread.js";
/** Not in every browser. @type {any} */
const trusted = /** @type {any} */ (globalThis).trustedTypes;

export class Counting {
  /** @type {Worker} */
  #thread;
  #told;
  #n = 0;
  #busy = false;
  /** The script of the thread failed: it answers nothing more. */
  #lost = false;
  #units = 0;
  /** The image that the thread has: megabytes, which cross once and not at each key. @type {string | undefined} */
  #image;
  #waitsSince = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pause;
  /** @type {(() => Draft) | undefined} */
  #next;

  /** @param {Told} told */
  constructor(told) {
    this.#told = told;
    const policy = trusted?.createPolicy("tollgate", { createScriptURL: () => SCRIPT });
    this.#thread = new Worker(policy ? policy.createScriptURL("") : SCRIPT, { type: "module", name: "count" });
    this.#thread.addEventListener("message", ({ data }) => this.#heard(data));
    this.#thread.addEventListener("error", (event) => {
      event.preventDefault();
      this.#lost = true;
      clearTimeout(this.#pause);
      told.failed({ code: "no_worker", message: event.message || "The counter’s script was not loaded. `make build` brings it." });
      told.settled();
    });
  }

  /** @param {() => Draft} draft asked for when there is time for it */
  count(draft) {
    if (this.#lost) return this.#told.settled();
    this.#next = draft;
    clearTimeout(this.#pause);
    const now = performance.now();
    this.#waitsSince ||= now;
    if (this.#units > UNITS_AT_ONCE_MAX && now - this.#waitsSince < PATIENCE_MS) this.#pause = setTimeout(() => this.#go(), PAUSE_MS);
    else this.#go();
  }

  /** @param {number} id a block whose tokens are to be drawn */
  draw(id) {
    this.#thread.postMessage({ kind: "draw", id });
  }

  #go() {
    if (this.#busy || !this.#next) return;
    this.#busy = true;
    const { image, ...draft } = this.#next();
    this.#next = undefined;
    this.#waitsSince = 0;
    this.#units = draft.text.length;
    clearTimeout(this.#pause);
    this.#thread.postMessage({ kind: "count", n: ++this.#n, ...draft, ...(image !== this.#image && { image }) });
    this.#image = image;
  }

  /** @param {any} data */
  #heard(data) {
    switch (data.kind) {
      case "measure":
        return this.#told.measured(data.measure, data.models);
      case "blocks":
        return this.#told.changed(data);
      case "cut":
        return this.#told.cut(data.id, data.cut);
      case "loading":
        return this.#told.loading(data.encoding);
      case "failed":
        return this.#told.failed(data);
      case "done":
        this.#busy = false;
        if (!this.#next) this.#told.settled();
        return this.#go();
    }
  }
}
