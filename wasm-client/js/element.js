// <tollgate-meter for="id">: what a prompt takes, beside the field it is typed in.

import { DEFAULT_MODEL } from "./core.js";
import { load, TollgateError } from "./index.js";

/** @typedef {import("../types/index.js").Measure} Measure */

/**
 * From these permille of the most that may be taken: the text says it too, as a
 * colour alone tells nothing to many.
 *
 * @type {readonly (readonly [number, string, string])[]}
 */
const LEVELS = [
  [1000, "over", "over the limit"],
  [900, "high", "at the limit"],
  [800, "near", "near the limit"],
  [0, "ok", ""],
];

const STYLE = `
:host { display: block; font: 0.875em/1.4 system-ui, sans-serif; }
:host([hidden]) { display: none; }
.meter { height: var(--tollgate-meter-height, 0.375em); border-radius: 1em; overflow: hidden; background: var(--tollgate-meter-track, #8884); }
.bar { height: 100%; width: 0; border-radius: inherit; background: var(--level); transition: width 0.15s; }
.text { display: flex; flex-wrap: wrap; gap: 0 0.75em; margin-top: 0.25em; font-variant-numeric: tabular-nums; }
.level { color: var(--level); font-weight: 600; }
.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:host { --level: var(--tollgate-meter-ok, light-dark(#1a7f37, #3fb950)); }
:host([level="near"]) { --level: var(--tollgate-meter-near, light-dark(#7d4e00, #d29922)); }
:host([level="high"]) { --level: var(--tollgate-meter-high, light-dark(#a04100, #f0883e)); }
:host([level="over"]) { --level: var(--tollgate-meter-over, light-dark(#b3261e, #ff7b72)); }
@media (prefers-reduced-motion: reduce) { .bar { transition: none; } }
@media (forced-colors: active) { .bar { background: CanvasText; } .meter { border: 1px solid CanvasText; } }
`;

const LABEL = "Tokens of the prompt";

const TEMPLATE = [
  ["div", { class: "meter", part: "meter", role: "meter", "aria-label": LABEL, "aria-valuemin": "0", "aria-valuenow": "0", "aria-valuetext": "not counted" }, [["div", { class: "bar", part: "bar" }, []]]],
  ["div", { class: "text", part: "text", "aria-hidden": "true" }, [
    ["span", { class: "count", part: "count" }, []],
    ["span", { class: "bound", part: "bound" }, []],
    ["span", { class: "cost", part: "cost" }, []],
    ["span", { class: "level", part: "level" }, []],
  ]],
  ["span", { class: "quiet", role: "status" }, []],
];

/** @type {CSSStyleSheet | undefined} */
let sheet;

/** A page without custom elements (a server that renders) only imports this. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

export class TollgateMeter extends Base {
  static observedAttributes = ["for", "model", "max", "label"];

  /** Where its field stands. @type {Document | ShadowRoot | null} */
  #root = null;
  /** @type {Record<string, unknown>} */
  #request = {};
  /** @type {import("../types/index.js").ClaudeCounter | null} */
  #counter = null;
  /** @type {Record<string, HTMLElement>} */
  #parts = {};
  #frame = 0;
  /** @type {Measure | null} */
  #measure = null;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    // A sheet of one's own passes a policy that forbids inline styles.
    sheet ??= new CSSStyleSheet();
    if (!sheet.cssRules.length) sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.append(...TEMPLATE.map((node) => this.#made(node)));
  }

  /** The rest of the request: system, tools, earlier messages. Assign a new object. */
  get request() {
    return this.#request;
  }
  set request(request) {
    this.#request = request ?? {};
    this.#soon();
  }

  /** The last measure, or null. */
  get measure() {
    return this.#measure;
  }

  connectedCallback() {
    // Given before the tag was known, it hides the accessor.
    if (Object.hasOwn(this, "request")) {
      const { request } = this;
      delete (/** @type {any} */ (this).request);
      this.request = request;
    }
    // Not at the field: it may not be there yet, or another may take its place.
    const root = this.getRootNode();
    this.#root = "getElementById" in root ? /** @type {Document | ShadowRoot} */ (root) : null;
    this.#root?.addEventListener("input", this.#typed, true);
    if (this.ownerDocument.readyState === "loading") this.ownerDocument.addEventListener("DOMContentLoaded", this.#soon, { once: true });
    this.#soon();
  }

  disconnectedCallback() {
    this.#root?.removeEventListener("input", this.#typed, true);
    this.#root = null;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "model") this.#counter = null;
    this.#soon();
  }

  #typed = (/** @type {Event} */ event) => {
    const id = this.getAttribute("for");
    if (id && event.target instanceof Element && event.target.closest(`#${CSS.escape(id)}`)) this.#soon();
  };

  // Once a frame, however fast keys are pressed.
  #soon = () => {
    if (this.#frame || !this.isConnected) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      void this.#update();
    });
  };

  get #label() {
    return this.getAttribute("label") ?? LABEL;
  }

  get #model() {
    return this.getAttribute("model") ?? DEFAULT_MODEL;
  }

  async #update() {
    const model = this.#model;
    try {
      const counter = this.#counter?.name === model ? this.#counter : await load(model);
      if (model !== this.#model) return;
      if (counter.exact) throw new TollgateError("unknown_model", `${model} has no prices here: the meter is for Claude models.`);
      this.#counter = counter;
      const field = this.#root?.getElementById(this.getAttribute("for") ?? "");
      const text = /** @type {any} */ (field)?.value ?? field?.textContent ?? "";
      const earlier = Array.isArray(this.#request.messages) ? this.#request.messages : [];
      const measure = counter.measure({ ...this.#request, messages: [...earlier, { role: "user", content: text }] });
      this.#show(measure, Number(this.getAttribute("max")) || counter.model.max_input_tokens);
    } catch (error) {
      this.#fail(error instanceof TollgateError ? error.message : String(error));
    }
  }

  /**
   * @param {Measure} measure
   * @param {number} most
   */
  #show(measure, most) {
    const { meter, bar, count, bound, cost, level, quiet } = this.#parts;
    const { estimate, upper, lower } = measure;
    const permille = Math.floor((estimate * 1000) / most);
    const [, name, says] = LEVELS.find(([from]) => permille >= from) ?? LEVELS[LEVELS.length - 1];
    const number = numbersOf(this.ownerDocument.documentElement.lang);
    const dollars = `$${(measure.cost.input_microusd / 1e6).toFixed(measure.cost.input_microusd < 1e6 ? 4 : 2)}`;
    count.textContent = `${measure.exact ? "" : "≈ "}${number.format(estimate)} of ${number.format(most)} tokens`;
    bound.textContent = measure.exact ? "" : `${number.format(lower)} to ${number.format(upper)}`;
    cost.textContent = dollars;
    level.textContent = says;
    bar.style.width = `${Math.min(100, permille / 10)}%`;
    meter.setAttribute("aria-label", this.#label);
    meter.setAttribute("aria-valuemax", String(most));
    meter.setAttribute("aria-valuenow", String(Math.min(estimate, most)));
    meter.setAttribute("aria-valuetext", `about ${number.format(estimate)} of ${number.format(most)} tokens, ${dollars}${says ? `, ${says}` : ""}`);
    // Spoken when it changes, not at each key.
    if (this.getAttribute("level") !== name) {
      this.setAttribute("level", name);
      quiet.textContent = says && `${says}: about ${number.format(estimate)} of ${number.format(most)} tokens`;
    }
    this.#measure = measure;
    this.dispatchEvent(new CustomEvent("tollgate-measure", { detail: measure, bubbles: true }));
  }

  /** @param {string} message */
  #fail(message) {
    const { meter, count, bound, cost, level, bar, quiet } = this.#parts;
    for (const part of [bound, cost, level]) part.textContent = "";
    bar.style.width = "0";
    count.textContent = "not counted";
    // What was counted before is not what stands there now: nobody is to see or hear it.
    this.removeAttribute("level");
    meter.setAttribute("aria-label", this.#label);
    meter.setAttribute("aria-valuetext", "not counted");
    meter.setAttribute("aria-valuenow", "0");
    quiet.textContent = "";
    this.#measure = null;
    this.dispatchEvent(new CustomEvent("tollgate-error", { detail: message, bubbles: true }));
  }

  /**
   * @param {any} node
   * @returns {HTMLElement}
   */
  #made([tag, attributes, children]) {
    const element = this.ownerDocument.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    element.append(...children.map((/** @type {any} */ child) => this.#made(child)));
    this.#parts[attributes.class] = element;
    return element;
  }
}

/** @param {string} language */
function numbersOf(language) {
  try {
    return new Intl.NumberFormat(language || undefined);
  } catch {
    // As some pages write it, e.g. en_US.
    return new Intl.NumberFormat();
  }
}

/** Makes the tag known. Importing this module alone changes nothing. */
export function defineMeter(name = "tollgate-meter") {
  if (globalThis.customElements && !customElements.get(name)) customElements.define(name, TollgateMeter);
}
