// The package's face: counters by name, whole requests, the guard.

import { calibrationOf, corrected, correctedMeasure, isOf, SHAPE, undated } from "./calibration.js";
import { costOf, estimateText, init, initSync, knownModel, knownModels, measureJson } from "./core.js";
import { bodyOf, fieldsOf, held, kindOf, nameOf, TollgateError, wholeOf } from "./given.js";
import { guard } from "./guard/index.js";
import { encodingOf, loadVocabulary } from "./vocabulary.js";

export { guard, init, initSync, TollgateError };

/**
 * @typedef {import("../types/index.js").Calibration} Calibration
 * @typedef {import("../types/index.js").ClaudeCounter} ClaudeCounter
 * @typedef {import("../types/index.js").Measure} Measure
 */

/** Those of Claude's models that are asked for without a calibration, by name. @type {Map<string, ClaudeCounter>} */
const claudes = new Map();

/**
 * A counter by the name of a model or a vocabulary. Once for each name, but for those
 * with a calibration; everything after it is synchronous.
 *
 * @param {string} name
 * @param {import("../types/index.js").LoadOptions} [options]
 * @returns {Promise<any>} its type is that of types/index.d.ts
 */
export async function load(name, options = {}) {
  held(options?.vocabulary);
  nameOf(name, "load");
  const { vocabulary, calibration: told } = fieldsOf(options, "load's options are an object like { vocabulary }");
  const calibration = calibrationFor(name, told);
  await init();
  const encoding = encodingOf(name);
  // Not by the name alone: who names a place waits for no other.
  if (encoding) return loadVocabulary(name, encoding, vocabulary);
  // Not kept: there may be any number of calibrations.
  if (calibration) return claude(name, calibration);
  const counter = claudes.get(name) ?? claude(name, null);
  claudes.set(name, counter);
  return counter;
}

/**
 * A whole Messages request, part by part. `init` or `load` comes first.
 *
 * @param {import("../types/index.js").MessagesRequest} request
 * @returns {Measure}
 */
export function measure(request) {
  fieldsOf(request, "measure takes a request like messages.create does");
  return measureJson(bodyOf(request), "max_tokens" in request, Date.now());
}

/** The Claude models that this version knows. `init` or `load` comes first. */
export function models() {
  return knownModels();
}

/**
 * What an answer cost, in micro-dollars, by the list prices of today.
 *
 * @param {string} model
 * @param {import("../types/index.js").AnthropicUsage} usage
 */
export function cost(model, usage) {
  nameOf(model, "cost");
  fieldsOf(usage, "cost takes an answer's usage, an object like { input_tokens, output_tokens }");
  const tokens = (/** @type {keyof import("../types/index.js").AnthropicUsage} */ field, least = usage[field]) => wholeOf(/** @type {number} */ (least), `usage.${field}`);
  const used = {
    input: tokens("input_tokens"),
    // An answer may have none of these, or null.
    cacheWritten: tokens("cache_creation_input_tokens", usage.cache_creation_input_tokens ?? 0),
    cacheRead: tokens("cache_read_input_tokens", usage.cache_read_input_tokens ?? 0),
    output: tokens("output_tokens"),
  };
  return costOf(model, used, Date.now());
}

/**
 * What `load` was given to correct this model's estimates by; null: nothing. Exact counters
 * need none, and are told of a wrong one all the same.
 *
 * @param {string} model
 * @param {any} told
 */
function calibrationFor(model, told) {
  if (told === undefined) return null;
  const calibration = calibrationOf(told);
  if (!calibration) throw new TollgateError("bad_request", `calibration is none: it has ${SHAPE}, as \`tollgate calibrate\` writes it.`);
  if (!isOf(told, model)) throw new TollgateError("bad_request", `calibration corrects ${told.model}, not ${model}.`);
  return calibration;
}

/**
 * @param {string} model
 * @param {Calibration | null} calibration
 * @returns {ClaudeCounter}
 */
function claude(model, calibration) {
  const info = knownModel(model);
  if (!info) {
    const names = knownModels().filter((known) => !known.retired).map((known) => known.id);
    throw new TollgateError("unknown_model", `"${model}" is not known, nor which tokenizer it has. If it counts by a vocabulary of OpenAI's, load that by its own name (o200k_base, cl100k_base, …). Known are OpenAI's models of tiktoken's list, and: ${names.join(", ")}.`);
  }
  const bounds = (/** @type {string} */ text) => {
    if (typeof text !== "string") throw new TollgateError("not_a_string", `A text is a string, not ${kindOf(text)}.`);
    const { kinds, ...prior } = estimateText(text, model);
    return corrected(prior, kinds, calibration);
  };
  /** @type {ClaudeCounter} */
  const counter = {
    name: model,
    exact: false,
    model: info,
    count: (text) => bounds(text).estimate,
    bounds,
    fits: (text, tokens) => {
      const { lower, upper } = bounds(text);
      wholeOf(tokens, "tokens");
      return upper <= tokens ? true : lower > tokens ? false : undefined;
    },
    measure: (request) => {
      const of = fieldsOf(request, "measure takes a request like messages.create does").model ?? model;
      const measured = measure({ ...request, model: of });
      // What was learned of one model's tokenizer says nothing of another's.
      return undated(of) === undated(model) ? correctedMeasure(measured, calibration) : measured;
    },
  };
  return Object.freeze(counter);
}
