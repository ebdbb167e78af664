// `tollgate calibrate`: asks the provider how many tokens one's own prompts have,
// which is free, and writes how a model's estimates are to be corrected.

import { Calibrator, initSync } from "#glue-calibrate";
import { access, constants, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { correctedMeasure, isText } from "./calibration.js";
import { bodyOf, reasonOf } from "./given.js";
import { measure } from "./index.js";

/**
 * @typedef {import("../types/index.js").Calibration} Calibration
 * @typedef {import("../types/index.js").Measure} Measure
 * @typedef {{name: string, request: any}} Prompt
 * @typedef {{name: string, measure: Measure, real: number}} Sample
 *
 * @typedef {object} Options
 * @property {string} model
 * @property {string} url
 * @property {string} key
 * @property {string} out
 * @property {string[]} files
 * @property {(line: string) => void} say
 */

/** A text is cut into prompts of about so many characters: of many there is more to learn. */
export const CHARS_A_PROMPT = 6_000;
/** Prompts asked for, the first of each file before the second of any. */
export const PROMPTS_MAX = 500;
/** Every so many prompts of a file are not learned from, so that the error is told on what was not seen. */
const HELD_OUT = 3;
/** Fewer say little; bounds need 39 of a size (crates/calibration/src/bounds.rs). */
export const PROMPTS_MIN = 12;
/** Calls at a time: the Start tier counts 2,000 a minute (token counting, 2026-06), and refusals are waited out. */
const AT_A_TIME = 4;
const TRIES_MAX = 8;
/** A network that is away for longer is for whoever runs it to see. */
const BROKEN_MAX = 3;
const TIMEOUT_MS = 60_000;
/** What a kind is called that a weight is of. */
const KINDS = ["words", "digits", "punctuation", "blanks", "other alphabets", "ideographs", "signs and emoji", "framing and tools"];

/** @param {Options} options */
export async function calibrate({ model, url, key, out, files, say }) {
  const prompts = await promptsOf(files);
  if (prompts.length < PROMPTS_MIN) throw new Error(`${prompts.length} prompts are too few to learn from: give ${PROMPTS_MIN} at least, better 100 (a text counts as one for each ${CHARS_A_PROMPT} characters)`);
  // Before hundreds of calls, not after.
  await access(dirname(resolve(out)), constants.W_OK);
  const samples = await counted(prompts, model, url, key);
  if (samples.length < PROMPTS_MIN) throw new Error(`only ${samples.length} of ${prompts.length} prompts are text alone, which can be learned from`);

  // Learned from the others, tried on these: what is written learns from all.
  const heldOut = heldOutOf(samples);
  const module = await readFile(join(dirname(fileURLToPath(import.meta.url)), "../calibrate_bg.wasm"));
  const learned = learnedOf(samples.filter((sample) => !heldOut.includes(sample)), module);
  const [before, after] = [null, learned].map((calibration) => errorsOf(heldOut, calibration));
  const calibration = learnedOf(samples, module);
  const measured = { at: new Date().toISOString().slice(0, 10), prompts: samples.length, held_out: heldOut.length, before, after };
  await writeFile(out, `${JSON.stringify({ model, ...calibration, measured }, null, 2)}\n`);

  if (samples.length < prompts.length) say(`${prompts.length - samples.length} of ${prompts.length} prompts are not text alone and were left out.`);
  say(`${model}: ${samples.length} prompts counted by ${new URL(url).host}; the error on ${heldOut.length} of them that were not learned from:`);
  say(`          bias     p50     p95   within the bounds`);
  for (const [name, of] of /** @type {const} */ ([["before", before], ["after", after]])) say(`${name.padEnd(6)} ${[`${of.bias > 0 ? "+" : ""}${percent(of.bias)}`, percent(of.p50), percent(of.p95)].map((part) => part.padStart(7)).join(" ")}   ${percent(of.covered)}`);
  say(`weights: ${calibration.weights.map((weight, at) => `${KINDS[at]} ${(weight / 1000).toFixed(2)}`).join(", ")}`);
  if (!calibration.upper.some(Boolean)) say("Too few prompts of one size for bounds of their own: those of the prior stay.");
  say(`\nWritten to ${out}: load("${model}", { calibration }), guard({ …, calibrations: { "${model}": calibration } }).`);
}

/**
 * Every third of each file, of the next file another third: of many files with a prompt
 * each there are some, and none is tried whole.
 *
 * @param {Sample[]} samples
 */
function heldOutOf(samples) {
  /** @type {Map<string, number>} */
  const turns = new Map();
  return samples.filter(({ name }) => {
    const turn = (turns.get(name) ?? turns.size) + 1;
    turns.set(name, turn);
    return turn % HELD_OUT === 0;
  });
}

/**
 * Requests of files: JSON (one, or a list), JSON lines, or a text in pieces.
 *
 * @param {string[]} files
 * @returns {Promise<Prompt[]>}
 */
async function promptsOf(files) {
  const lists = await Promise.all(
    files.map(async (name) => {
      const text = await readFile(name, "utf8");
      const requests = /\.(json|jsonl|ndjson)$/.test(name) ? requestsOf(name, text) : null;
      return (requests ?? piecesOf(text).map(ofText)).map((request) => ({ name, request }));
    }),
  );
  const longest = Math.max(0, ...lists.map((list) => list.length));
  const turns = Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list.slice(at, at + 1)));
  return turns.flat().slice(0, PROMPTS_MAX);
}

/**
 * @param {string} name
 * @param {string} text
 * @returns {any[] | null} null: JSON, but no requests: a text like any other
 */
function requestsOf(name, text) {
  const parsed = (/** @type {string} */ json) => {
    try {
      return JSON.parse(json);
    } catch (error) {
      throw new Error(`${name}: ${reasonOf(error)}`);
    }
  };
  // Windows' tools begin a file with a byte order mark, which no JSON has.
  const json = text.replace(/^\ufeff/, "");
  const list = name.endsWith(".json") ? [parsed(json)].flat() : json.split("\n").filter((line) => line.trim()).map(parsed);
  return list.every((request) => Array.isArray(request?.messages)) ? list : null;
}

/** @param {string} text */
function piecesOf(text) {
  const pieces = [];
  for (let rest = text; rest.trim(); ) {
    const end = rest.length <= CHARS_A_PROMPT ? -1 : rest.lastIndexOf("\n", CHARS_A_PROMPT);
    // Not within a pair of surrogates.
    const cut = end > 0 ? end + 1 : rest.length <= CHARS_A_PROMPT ? rest.length : CHARS_A_PROMPT - (/[\ud800-\udbff]/.test(rest[CHARS_A_PROMPT - 1]) ? 1 : 0);
    pieces.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return pieces.filter((piece) => piece.trim());
}

/** @param {string} text */
const ofText = (text) => ({ messages: [{ role: "user", content: text }] });

/** The fields that count_tokens takes (SDK 1.13.0, `MessageCountTokensParams`): others it refuses. */
const COUNTED = ["messages", "system", "tools", "tool_choice", "thinking", "cache_control", "output_config", "speed"];

/**
 * @param {Prompt[]} prompts
 * @param {string} model
 * @param {string} url
 * @param {string} key
 * @returns {Promise<Sample[]>}
 */
async function counted(prompts, model, url, key) {
  /** @type {Sample[]} in the order of the prompts */
  const samples = [];
  const stop = new AbortController();
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < prompts.length && !stop.signal.aborted; at = next++) {
      const { name, request } = prompts[at];
      /** @type {any} */
      const asked = { model };
      for (const field of COUNTED) if (field in request) asked[field] = request[field];
      let own;
      try {
        own = measure(asked);
      } catch (error) {
        throw new Error(`${name}: ${reasonOf(error)}`);
      }
      if (isText(own)) samples[at] = { name, measure: own, real: await count(asked, name, url, key, stop.signal) };
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  } finally {
    // What one failed by is told, and the others need not ask on.
    stop.abort();
  }
  return samples.filter(Boolean);
}

/**
 * @param {any} request
 * @param {string} name
 * @param {string} url
 * @param {string} key
 * @param {AbortSignal} stopped
 * @returns {Promise<number>}
 */
async function count(request, name, url, key, stopped) {
  for (let tries = 1; ; tries++) {
    const { status, type, after, answer, broken } = await ask(request, url, key, stopped);
    stopped.throwIfAborted();
    if (status === 200 && Number.isSafeInteger(answer?.input_tokens) && answer.input_tokens > 0) return answer.input_tokens;
    const most = broken ? BROKEN_MAX : status === 429 || status >= 500 ? TRIES_MAX : 1;
    if (tries >= most) {
      const { host } = new URL(url);
      if (broken) throw new Error(`${name}: ${host} gave no answer: ${broken}`);
      // A page, perhaps: of another server, or of one that stands before it.
      if (status === 200) throw new Error(`${name}: what ${host} answered has no count: ${answer === null ? `it is no JSON but ${type}` : "its JSON has no input_tokens"}. Is --url the address of the API, or of your gate?`);
      throw new Error(`${name}: count_tokens answered ${status}${answer?.error?.message ? `: ${answer.error.message}` : ""}`);
    }
    await sleep(1000 * (after >= 0 && after <= 120 ? after : 2 ** tries), undefined, { signal: stopped });
  }
}

/**
 * One call; `broken`: why there was no answer.
 *
 * @param {any} request
 * @param {string} url
 * @param {string} key
 * @param {AbortSignal} stopped
 * @returns {Promise<{status: number, type: string, after: number, answer: any, broken?: string}>}
 */
async function ask(request, url, key, stopped) {
  // Not AbortSignal.any, which Node has from 20.3 on.
  const call = new AbortController();
  const end = () => call.abort();
  const late = setTimeout(() => call.abort(new Error(`none within ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
  stopped.addEventListener("abort", end);
  try {
    const response = await fetch(new URL("v1/messages/count_tokens", url.endsWith("/") ? url : `${url}/`), {
      method: "POST",
      headers: { "x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json" },
      body: bodyOf(request),
      // A redirect could lead the key elsewhere.
      redirect: "manual",
      signal: call.signal,
    });
    const text = await response.text();
    const { status, headers } = response;
    return { status, type: headers.get("content-type") ?? "of no type", after: Number(headers.get("retry-after") ?? NaN), answer: jsonOf(text) };
  } catch (error) {
    // "fetch failed" says nothing; what it was is behind it.
    const { message, cause } = /** @type {any} */ (error);
    return { status: 0, type: "", after: NaN, answer: null, broken: cause?.code ?? cause?.message ?? message };
  } finally {
    clearTimeout(late);
    stopped.removeEventListener("abort", end);
  }
}

/** @param {string} text */
function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Learns a calibration, sample by sample.
 *
 * @param {BufferSource} module what learns
 */
export function learner(module) {
  initSync({ module });
  const calibrator = new Calibrator();
  return {
    learn: (/** @type {readonly number[]} */ kinds, /** @type {number} */ real) => calibrator.learn(Float64Array.from(kinds), real),
    /** @returns {Calibration} */
    told() {
      const told = [...calibrator.told()];
      const sizes = (told.length - KINDS.length) / 2;
      return { weights: told.slice(0, KINDS.length), lower: told.slice(KINDS.length, KINDS.length + sizes), upper: told.slice(KINDS.length + sizes) };
    },
    close: () => calibrator.free(),
  };
}

/**
 * @param {Sample[]} samples
 * @param {BufferSource} module
 * @returns {Calibration}
 */
function learnedOf(samples, module) {
  const { learn, told, close } = learner(module);
  for (const { measure, real } of samples) learn(measure.kinds, real);
  const learned = told();
  close();
  return learned;
}

/**
 * @param {Sample[]} samples
 * @param {Calibration | null} calibration
 */
function errorsOf(samples, calibration) {
  const told = samples.map(({ measure, real }) => ({ real, ...correctedMeasure(measure, calibration) }));
  const errors = told.map(({ real, estimate }) => estimate / real - 1);
  const apart = errors.map(Math.abs).sort((a, b) => a - b);
  const quantile = (/** @type {number} */ part) => apart[Math.min(apart.length - 1, Math.floor(apart.length * part))];
  const bias = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const covered = told.filter(({ real, lower, upper }) => lower <= real && real <= upper).length / told.length;
  return { bias, p50: quantile(0.5), p95: quantile(0.95), covered };
}

/** @param {number} part */
function percent(part) {
  return `${(100 * part).toFixed(1)} %`;
}
