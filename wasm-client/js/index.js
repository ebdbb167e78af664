// The package's face: counters by name, whole requests, the guard.

import { calibrationOf, corrected, correctedMeasure } from "./calibration.js";
import { costOf, estimateText, init, initSync, kindOf, knownModel, knownModels, measureJson, onLost, TollgateError } from "./core.js";
import { guard } from "./guard/index.js";
import { encodingOf, loadVocabulary } from "./vocabulary.js";

export { guard, init, initSync, TollgateError };

/**
 * @typedef {import("../types/index.js").ClaudeCounter} ClaudeCounter
 * @typedef {import("../types/index.js").Measure} Measure
 */

/** @type {Map<string, Promise<any>>} */
const loaded = new Map();
onLost(() => loaded.clear());

/**
 * A counter by the name of a model or a vocabulary. Once for each name, but for those
 * with a calibration; everything after it is synchronous.
 *
 * @param {string} name
 * @param {import("../types/index.js").LoadOptions} [options]
 * @returns {Promise<any>} its type is that of types/index.d.ts
 */
export function load(name, options = {}) {
  if (typeof name !== "string") return Promise.reject(new TollgateError("not_a_string", `load takes a model's name, not ${kindOf(name)}.`));
  const make = async () => {
    await init();
    const encoding = encodingOf(name);
    return encoding ? await loadVocabulary(name, encoding, options.vocabulary) : claude(name, options.calibration);
  };
  // Not kept: there may be any number of calibrations, and such a counter is made at once.
  if (options.calibration !== undefined) return make();
  let counter = loaded.get(name);
  if (!counter) {
    counter = make();
    loaded.set(name, counter);
    // What failed may be tried again.
    counter.catch(() => loaded.delete(name));
  }
  return counter;
}

/**
 * A whole Messages request, part by part. `init` or `load` comes first.
 *
 * @param {import("../types/index.js").MessagesRequest} request
 * @returns {Measure}
 */
export function measure(request) {
  if (typeof request !== "object" || request === null || Array.isArray(request))
    throw new TollgateError("bad_request", `measure takes a request like messages.create does, not ${kindOf(request)}.`);
  let json;
  try {
    json = JSON.stringify(request);
  } catch (error) {
    throw new TollgateError("bad_request", `The request cannot be written as JSON: ${error instanceof Error ? error.message : error}`, error);
  }
  return measureJson(wellFormed(json), "max_tokens" in request, Date.now());
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
  const used = {
    input: usage.input_tokens,
    cacheWritten: usage.cache_creation_input_tokens ?? 0,
    cacheRead: usage.cache_read_input_tokens ?? 0,
    output: usage.output_tokens,
  };
  return costOf(model, used, Date.now());
}

/**
 * @param {string} model
 * @param {unknown} [told] a calibration
 * @returns {ClaudeCounter}
 */
function claude(model, told) {
  const calibration = told === undefined ? null : calibrationOf(told);
  if (told !== undefined && !calibration) throw new TollgateError("bad_request", "calibration is none: it is what `tollgate calibrate` wrote.");
  const info = knownModel(model);
  if (!info) {
    const names = knownModels().filter((known) => !known.retired).map((known) => known.id);
    throw new TollgateError("unknown_model", `"${model}" is not known. Known are OpenAI's models and vocabularies (o200k_base, cl100k_base, …), and: ${names.join(", ")}.`);
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
      return upper <= tokens ? true : lower > tokens ? false : undefined;
    },
    measure: (request) => correctedMeasure(measure({ ...request, model: request.model ?? model }), calibration),
  };
  return Object.freeze(counter);
}

/**
 * `JSON.stringify` writes half of an emoji, which a user may just be typing, as an
 * escape that no API takes; counted is what will be sent in its place.
 *
 * @param {string} json
 */
function wellFormed(json) {
  if (!json.includes("\\ud")) return json;
  // An escaped backslash before it makes it text, so those are stepped over.
  return json.replace(/\\(?:ud[89a-f][0-9a-f]{2}|.)/g, (escape) => (escape.startsWith("\\ud") ? "\ufffd" : escape));
}
