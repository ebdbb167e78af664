// The core module: whole requests, texts by estimate, prices, models.

import * as glue from "#glue";
import { source } from "#platform";
import { undated } from "./calibration.js";
import { TollgateError } from "./given.js";
import { moduleOf } from "./module.js";

/** @typedef {import("../types/index.js").Measure} Measure */

/** Of the meter, the hook and the command, where none is named. */
export const DEFAULT_MODEL = "claude-sonnet-5-5";

const { init, initSync, isReady, withText, withParts, withBytes, idsAt, windows, guarded, onLost } = moduleOf(glue, source);
export { idsAt, init, initSync, isReady, onLost, withBytes, withParts, withText };

/**
 * A whole request's measure.
 *
 * @param {string} json the request
 * @param {boolean} complete whether it is to be sent, and so has `max_tokens`
 * @param {number} atMs the prices' time
 * @returns {Measure}
 */
export function measureJson(json, complete, atMs) {
  const told = guarded(() => {
    glue.request_begin(complete);
    const problem = windows(json, glue.request_feed);
    return problem === undefined ? glue.request_end(atMs) : `!${problem}`;
  });
  if (told.startsWith("!")) throw new TollgateError("bad_request", told.slice(1));
  return JSON.parse(told);
}

/**
 * A text's tokens in a Claude model, and the estimate by kinds of text.
 *
 * @param {string} text
 * @param {string} model
 * @returns {{lower: number, estimate: number, upper: number, kinds: number[]}}
 */
export function estimateText(text, model) {
  const [lower, estimate, upper, ...kinds] = guarded(() => {
    glue.text_begin();
    windows(text, glue.text_feed);
    return glue.text_end(model);
  });
  return { lower, estimate, upper, kinds };
}

/**
 * What an answer cost, micro-dollars.
 *
 * @param {string} model
 * @param {{input: number, cacheWritten: number, cacheRead: number, output: number}} used
 * @param {number} atMs
 */
export function costOf(model, used, atMs) {
  return guarded(() => glue.cost(model, used.input, used.cacheWritten, used.cacheRead, used.output, atMs));
}

/** @type {readonly import("../types/index.js").ModelInfo[] | undefined} */
let models;

/**
 * The Claude models that this version knows.
 *
 * @returns {readonly import("../types/index.js").ModelInfo[]}
 */
export function knownModels() {
  return (models ??= Object.freeze(JSON.parse(guarded(glue.model_list)).map(Object.freeze)));
}

/**
 * The one that a name means: with a date behind it, it is the same model.
 *
 * @param {string} name
 */
export function knownModel(name) {
  const id = undated(name);
  return knownModels().find((known) => known.id === id);
}
