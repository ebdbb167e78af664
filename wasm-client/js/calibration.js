// What real counts taught of an estimate, applied. It is learned by
// crates/calibration, in a gate or by `tollgate calibrate`; the same whole
// numbers make the same of an estimate here and there.

/**
 * @typedef {import("../types/index.js").Bounds} Bounds
 * @typedef {import("../types/index.js").Calibration} Calibration
 */

/** Kinds of text that have a weight of their own, and sizes that have bounds. */
const KINDS = 8;
/** Corrected estimates from here on are of the next size. */
const SIZE_FROM = [256, 4_096];
/** Parts of a request that are its text: a token of it has a byte at least. */
const OF_TEXT = ["system", "messages", "tools"];
/** Parts of a request that its kinds are of. */
const OF_KINDS = ["framing", "roles", ...OF_TEXT, "tool_choice"];
/** Thousandths: no tokenizer is so far off, and what is learned ends there (`WEIGHT_MAX` of crates/calibration). */
const MOST = 4_000;

/** What a calibration is, for errors. */
export const SHAPE = `${KINDS} weights of at most ${MOST} thousandths, and bounds of which the lower ones are not above the upper`;

/**
 * Whether all that the provider will count is text that is here. Bounds are learned of
 * such requests alone: what server tools or an address bring along, none can bound.
 *
 * @param {import("../types/index.js").Measure} measure
 */
export function isText({ parts }) {
  return parts.every((part) => OF_KINDS.includes(part.name));
}

/**
 * @param {any} told
 * @returns {Calibration | null} null: it is none
 */
export function calibrationOf(told) {
  const list = (/** @type {unknown} */ numbers, /** @type {number} */ length) => Array.isArray(numbers) && numbers.length === length && numbers.every((number) => Number.isSafeInteger(number) && number >= 0 && number <= MOST);
  const none = SIZE_FROM.concat(0).fill(0);
  const { weights, lower = none, upper = none } = told ?? {};
  if (!list(weights, KINDS) || ![lower, upper].every((bounds) => list(bounds, none.length))) return null;
  // 0 states none.
  if (lower.some((/** @type {number} */ bound, /** @type {number} */ size) => upper[size] && bound > upper[size])) return null;
  return { weights, lower, upper };
}

/**
 * An estimate corrected, with its bounds in the place of the prior's. What it has
 * beyond its kinds (images, PDFs) is left as it is, and then so are its bounds. None is
 * beyond the prior's upper bound, which is the text's bytes: that one holds for any text.
 *
 * @param {Bounds} prior
 * @param {readonly number[]} kinds
 * @param {Calibration | null | undefined} calibration
 * @param {boolean} [bounded] false: by the prior's bounds in any case
 * @returns {Bounds}
 */
export function corrected(prior, kinds, calibration, bounded = true) {
  if (!calibration) return prior;
  const text = textOf(kinds, calibration);
  const estimate = Math.min(prior.upper, text + Math.max(0, prior.estimate - sum(kinds)));
  const [lower, upper] = bounded ? statedOf(prior, kinds, calibration) : [0, 0];
  return {
    lower: Math.min(estimate, lower ? Math.floor((text * lower) / 1000) : prior.lower),
    estimate,
    upper: Math.max(estimate, upper ? Math.min(prior.upper, Math.ceil((text * upper) / 1000)) : prior.upper),
  };
}

/**
 * A whole request's measure, corrected.
 *
 * @param {import("../types/index.js").Measure} measure
 * @param {Calibration | null | undefined} calibration
 * @returns {import("../types/index.js").Measure}
 */
export function correctedMeasure(measure, calibration) {
  if (!calibration) return measure;
  const bounded = isText(measure) && statedOf(measure, measure.kinds, calibration).some(Boolean);
  const { lower, estimate, upper } = corrected(measure, measure.kinds, calibration, bounded);
  const [before, after] = [sum(measure.kinds), textOf(measure.kinds, calibration)];
  const parts = measure.parts.map((part) => {
    if (!before || !OF_KINDS.includes(part.name)) return part;
    const corrected = Math.round((part.estimate * after) / before);
    const of = OF_TEXT.includes(part.name) ? Math.min(part.upper, corrected) : corrected;
    return { ...part, estimate: of, lower: Math.min(part.lower, of), upper: Math.max(part.upper, of) };
  });
  const cost = { ...measure.cost, input_microusd: measure.estimate ? Math.round((measure.cost.input_microusd * estimate) / measure.estimate) : 0 };
  return { ...measure, lower, estimate, upper, parts, cost, confidence: bounded ? "calibrated" : measure.confidence };
}

/**
 * Whether a calibration is this model's, or does not say whose it is, as a gate's.
 *
 * @param {any} told
 * @param {string} model
 */
export function isOf(told, model) {
  return typeof told?.model !== "string" || undated(told.model) === undated(model);
}

/** A model's name without its date: the tokenizer is the same. @param {string} model */
export function undated(model) {
  return model.replace(/-\d{8}$/, "");
}

/**
 * The bounds that a calibration states of such an estimate, as thousandths of it; 0: none.
 *
 * @param {Bounds} prior
 * @param {readonly number[]} kinds
 * @param {Calibration} calibration
 */
function statedOf(prior, kinds, calibration) {
  if (prior.estimate > sum(kinds)) return [0, 0];
  const text = textOf(kinds, calibration);
  const size = SIZE_FROM.filter((from) => text >= from).length;
  return [calibration.lower[size], calibration.upper[size]];
}

/**
 * @param {readonly number[]} kinds
 * @param {Calibration} calibration
 */
function textOf(kinds, { weights }) {
  return Math.floor(kinds.reduce((sum, kind, at) => sum + kind * weights[at], 500) / 1000);
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0);
}
