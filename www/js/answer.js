// The answer on the page: text as it comes, facts beside it, or what went wrong.

import { make, show, the as $ } from "./page.js";
import { amount, named, number, seconds } from "./words.js";

/** @typedef {import("./message.js").Told} Told */
/** @typedef {import("./message.js").Problem} Problem */

/** One answer; a new one takes the place of the last. */
export class Answer {
  #began = performance.now();
  /** @type {number | undefined} */
  #firstMs;
  #text = document.createTextNode("");
  #thinking = document.createTextNode("");
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #clock;
  #usage = { input_tokens: undefined, output_tokens: undefined };
  /** @type {Told} */
  #known = {};

  constructor() {
    $("text").replaceChildren(this.#text);
    $("thinking").replaceChildren(this.#thinking);
    show($("thinking"), false);
    show($("problem"), false);
    show($("text"), true);
    show($("answer"), true);
    $("answer").setAttribute("aria-busy", "true");
    this.#facts();
    this.#wait();
    say("Sent. Waiting for the answer.");
  }

  /** @param {Told} told */
  tell(told) {
    if (told.text !== undefined) {
      if (this.#firstMs === undefined) {
        this.#firstMs = performance.now() - this.#began;
        this.#waited();
        this.#facts();
        say("The answer is coming.");
      }
      const box = $("text");
      const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
      this.#text.appendData(told.text);
      // Follows the text, unless somebody scrolled up to read.
      if (atEnd) box.scrollTop = box.scrollHeight;
      return;
    }
    if (told.thinking !== undefined) {
      this.#thinking.appendData(told.thinking);
      return show($("thinking"), true);
    }
    // Usage is cumulative, and later events leave out what has not changed.
    for (const [name, value] of Object.entries(told)) if (value !== undefined) Object.assign(this.#known, { [name]: value });
    for (const [name, value] of Object.entries(told.usage ?? {})) if (typeof value === "number") Object.assign(this.#usage, { [name]: value });
    this.#facts();
  }

  complete() {
    this.#end();
    const cut = this.#known.stopReason === "max_tokens" ? " It stopped at the longest answer you allowed." : "";
    say(`The answer is complete: ${count(this.#usage.output_tokens)} tokens.${cut}`);
  }

  stopped() {
    this.#known.stopReason = "stopped by you";
    this.#end();
    say("Stopped.");
  }

  /** @param {Problem} problem */
  failed(problem) {
    this.#end();
    // An answer that broke off stays; one that never began has no place.
    show($("text"), this.#text.length > 0);
    $("problem").dataset.local = String(problem.local === true);
    $("problem-title").textContent = problem.local ? "Refused in this browser. Nothing was sent." : "Not answered";
    $("problem-says").textContent = problem.says;
    $("problem-code").textContent = [problem.status, problem.code].filter(Boolean).join(" · ");
    why(problem.refusal);
    show($("problem"), true);
    const wait = problem.retryMs ? ` Try again in ${seconds(problem.retryMs)}.` : "";
    say(problem.local ? `Refused in this browser, nothing was sent: ${problem.says}${wait}` : `Not answered: ${problem.says}${wait}`);
    this.#count(problem.retryMs);
  }

  /** A later answer has its place. */
  leave() {
    clearInterval(this.#clock);
  }

  /** A request may wait in the gate for minutes, and its head comes only then. */
  #wait() {
    const tick = () => {
      $("waiting").textContent = `Waiting for the first words: ${Math.floor((performance.now() - this.#began) / 1000)} s.`;
    };
    this.#clock = setInterval(tick, 500);
    tick();
    show($("waiting"), true);
  }

  #waited() {
    clearInterval(this.#clock);
    show($("waiting"), false);
  }

  #end() {
    this.#waited();
    $("answer").setAttribute("aria-busy", "false");
    this.#facts(performance.now() - this.#began);
  }

  /** @param {number} [retryMs] */
  #count(retryMs) {
    show($("problem-wait"), retryMs !== undefined);
    if (retryMs === undefined) return;
    const due = Date.now() + retryMs;
    const tick = () => {
      const left = due - Date.now();
      if (left <= 0) clearInterval(this.#clock);
      $("problem-wait").textContent = left > 0 ? `Try again in ${seconds(left)}.` : "You can try again now.";
    };
    this.#clock = setInterval(tick, 500);
    tick();
  }

  /** @param {number} [tookMs] */
  #facts(tookMs) {
    const { waitMs, model, stopReason, requestId } = this.#known;
    /** @type {[string, string | undefined][]} */
    const rows = [
      ["Waited in the gate", waitMs === undefined ? undefined : milliseconds(waitMs)],
      ["First text after", this.#firstMs === undefined ? undefined : milliseconds(this.#firstMs)],
      ["Took", tookMs === undefined ? undefined : milliseconds(tookMs)],
      ["Input tokens", known(this.#usage.input_tokens)],
      ["Output tokens", known(this.#usage.output_tokens)],
      ["Ended by", stopReason?.replaceAll("_", " ")],
      ["Model", model],
      ["Request id", requestId],
    ];
    $("facts").replaceChildren(
      ...rows.flatMap(([name, value]) => (value === undefined ? [] : [entry(name, value, name === "Request id" || name === "Model" ? "long" : "")])),
    );
  }
}

/**
 * What the guard compared.
 *
 * @param {import("../../wasm-client/types/index.js").Refusal | undefined} refusal
 */
function why(refusal) {
  /** @type {[string, string][]} */
  const rows = [];
  if (refusal?.input) rows.push(["Counted here", `${number(refusal.input.lower)} to ${number(refusal.input.upper)} tokens`]);
  if (refusal?.limit) {
    const { scope, kind, level, capacity } = refusal.limit;
    rows.push([named(scope, kind), `${amount(kind, Math.max(0, level))} left of ${amount(kind, capacity)}`]);
  }
  show($("problem-why"), rows.length > 0);
  $("problem-why").replaceChildren(...rows.map(([name, value]) => entry(name, value)));
}

/**
 * A row of a description list.
 *
 * @param {string} name
 * @param {string} value
 * @param {string} [className]
 */
function entry(name, value, className) {
  const row = make("div", undefined, className);
  row.append(make("dt", name), make("dd", value));
  return row;
}

/**
 * Says a state, once, to those who listen: the text itself would be read word by word.
 *
 * @param {string} sentence
 */
function say(sentence) {
  $("said").textContent = sentence;
}

/** @param {number | undefined} value */
function known(value) {
  return value === undefined ? undefined : count(value);
}

/** @param {number | undefined} value */
function count(value) {
  return value === undefined ? "unknown" : number(value);
}

/** @param {number} ms */
function milliseconds(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
