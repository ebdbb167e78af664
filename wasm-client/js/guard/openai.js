// The size of a request of OpenAI's API, Chat Completions or Responses, part by
// part: texts by the model's vocabulary, what stands around them by what OpenAI
// published of it (openai.json). What is not published has wide bounds.

import { jsonOf } from "../given.js";
import facts from "./openai.json" with { type: "json" };
import { pixelsOf } from "./pixels.js";

/**
 * @typedef {import("../../types/index.js").Bounds} Bounds
 * @typedef {import("../../types/index.js").OpenAiPart} Part
 * @typedef {(text: string) => Bounds} Count
 */

/**
 * The estimate of `crates/tokens` is fitted to o200k's count times 1.17 on average
 * for Claude's older family (data/estimate.toml): taken back here, rounded so that
 * the bounds stay bounds.
 */
const PER_OLDER_CLAUDE = 1 / 1.17;
/** Nobody knows how much: a file by its id, an earlier answer, a tool of the provider's. */
const ENDLESS = Number.MAX_SAFE_INTEGER;

/**
 * Counts by a vocabulary.
 *
 * @param {(text: string) => number} count
 * @returns {Count}
 */
export function exactly(count) {
  return (text) => {
    const tokens = count(text);
    return { lower: tokens, estimate: tokens, upper: tokens };
  };
}

/**
 * Counts where no vocabulary is loaded.
 *
 * @param {Count} claude of the older family
 * @returns {Count}
 */
export function byEstimate(claude) {
  return (text) => {
    const { lower, estimate, upper } = claude(text);
    return { lower: Math.floor(lower * PER_OLDER_CLAUDE), estimate: Math.ceil(estimate * PER_OLDER_CLAUDE), upper };
  };
}

/**
 * @param {any} body
 * @param {Count} count
 * @returns {import("../../types/index.js").OpenAiMeasure}
 */
export function openaiMeasure(body, count) {
  const model = typeof body.model === "string" ? body.model : "";
  /** @type {Map<Part["name"], Part>} */
  const parts = new Map();
  const add = (/** @type {Part["name"]} */ name, /** @type {Bounds} */ { lower, estimate, upper }, source = "") => {
    const part = parts.get(name) ?? { name, lower: 0, estimate: 0, upper: 0, source };
    parts.set(name, { ...part, lower: part.lower + lower, estimate: part.estimate + estimate, upper: Math.min(ENDLESS, part.upper + upper) });
  };
  const text = (/** @type {unknown} */ value, /** @type {"messages" | "system"} */ name = "messages") => {
    if (typeof value === "string" && value) add(name, count(value), "the model's vocabulary, where it is loaded; else an estimate");
  };
  const remote = () => add("remote", { lower: 0, estimate: 0, upper: ENDLESS }, "not in the request: nothing to the whole context window");

  text(body.instructions, "system");
  const list = typeof body.input === "string" ? [{ content: body.input }] : [body.messages, body.input].find(Array.isArray) ?? [];
  for (const message of list) {
    if (typeof message !== "object" || message === null) continue;
    const role = message.role === "system" || message.role === "developer" ? "system" : "messages";
    const { per_message, per_name } = facts.messages;
    const spoken = typeof message.role === "string" ? count(message.role).estimate : 1;
    const around = per_message + spoken + (typeof message.name === "string" && message.role ? per_name : 0);
    add("roles", { lower: 0, estimate: around, upper: 4 * around }, facts.messages.source);
    text(message.name, role);
    for (const value of [message.arguments, message.output]) text(value, role);
    for (const call of Array.isArray(message.tool_calls) ? message.tool_calls : []) for (const value of [call?.function?.name, call?.function?.arguments]) text(value);
    const content = typeof message.content === "string" ? [{ text: message.content }] : [message.content, message.output].find(Array.isArray) ?? [];
    for (const block of content) {
      const image = block?.image_url?.url ?? block?.image_url;
      if (typeof block?.text === "string") text(block.text, role);
      else if (typeof block?.refusal === "string") text(block.refusal, role);
      else if (typeof image === "string") add("images", imageTokens(model, image, block.image_url.detail ?? block.detail), imageRule(model)?.source ?? "not published for this model");
      else remote();
    }
    if (typeof message.encrypted_content === "string") remote();
  }
  const { per_request } = facts.messages;
  add("roles", { lower: 0, estimate: per_request, upper: 4 * per_request }, facts.messages.source);

  const tools = [...(Array.isArray(body.tools) ? body.tools : []), ...(Array.isArray(body.functions) ? body.functions : [])];
  if (tools.length) {
    const whole = tools.reduce((sum, tool) => sum + toolTokens(model, tool, count), facts.tools.end);
    add("tools", { lower: 0, estimate: whole, upper: 2 * whole + count(jsonOf(tools)).upper }, facts.tools.source);
    if (tools.some((tool) => tool?.type && tool.type !== "function" && tool.type !== "custom")) remote();
  }
  const format = body.response_format ?? body.text?.format;
  if (format?.type === "json_schema") add("other", { ...count(jsonOf(format)), lower: 0 }, "fields that may reach the model: none to all of their tokens");
  if (body.previous_response_id || body.conversation || body.prompt) remote();

  const all = [...parts.values()];
  const sum = (/** @type {"lower" | "estimate" | "upper"} */ of) => Math.min(ENDLESS, all.reduce((total, part) => total + part[of], 0));
  const [lower, estimate, upper] = [sum("lower"), sum("estimate"), sum("upper")];
  // Images of unknown models and what is not in the request have no end.
  return { exact: lower === upper, lower, estimate, upper, confidence: upper === ENDLESS ? "low" : "medium", parts: all };
}

/**
 * A function's tokens by the cookbook's rule: its name and description, then each
 * property of its parameters on the first level.
 *
 * @param {string} model
 * @param {any} tool
 * @param {Count} count
 */
function toolTokens(model, tool, count) {
  const { tools } = facts;
  const { name = "", description = "", parameters } = tool?.function ?? tool ?? {};
  const tokens = (/** @type {unknown[]} */ ...words) => count(words.map((word) => written(word).replace(/\.$/, "")).join(":")).estimate;
  let sum = (/^gpt-(4($|-)|3)/.test(model) ? tools.function.cl100k : tools.function.o200k) + tokens(name, description);
  const properties = Object.entries(parameters?.properties ?? {});
  if (properties.length) sum += tools.properties;
  for (const [key, property] of properties) {
    const values = Array.isArray(property?.enum) ? property.enum : [];
    sum += tools.property + tokens(key, property?.type, property?.description);
    if (values.length) sum += values.reduce((/** @type {number} */ all, /** @type {unknown} */ value) => all + tools.enum_item + tokens(value), tools.enum);
  }
  return sum;
}

/** A schema may have any value where a word belongs. @param {unknown} word */
function written(word) {
  return word && typeof word === "object" ? jsonOf(word) : String(word ?? "");
}

/** @param {string} model */
function imageRule(model) {
  const named = (/** @type {[string, ...number[]]} */ [start]) => model.startsWith(start);
  const patches = /** @type {any[]} */ (facts.patches.percent).find(named);
  if (patches) return { source: facts.patches.source, percent: patches[1] };
  const tiles = /** @type {any[]} */ (facts.tiles.models).find(named);
  return tiles && { source: facts.tiles.source, base: tiles[1], tile: tiles[2] };
}

/**
 * @param {string} model
 * @param {string} address
 * @param {unknown} detail `low`, `high`, or as the model likes
 * @returns {Bounds}
 */
function imageTokens(model, address, detail) {
  const rule = imageRule(model);
  const size = pixelsOf(address.match(/^data:[^,]*;base64,/)?.[0] ? address.slice(address.indexOf(",") + 1) : "");
  if (!rule) return { lower: 0, estimate: 0, upper: ENDLESS };
  if (rule.percent) {
    const most = Math.ceil((facts.patches.most * rule.percent) / 100);
    if (!size) return { lower: 1, estimate: most, upper: most };
    const tokens = Math.ceil((patchesOf(size) * rule.percent) / 100);
    return { lower: detail === "low" ? 1 : tokens, estimate: tokens, upper: tokens };
  }
  if (detail === "low") return { lower: rule.base, estimate: rule.base, upper: rule.base };
  // Fitted into 2048 by 768 there are at most eight tiles.
  const high = rule.base + rule.tile * (size ? tilesOf(size) : 8);
  return { lower: detail === "high" && size ? high : rule.base, estimate: high, upper: high };
}

/** @param {{width: number, height: number}} size */
function tilesOf({ width, height }) {
  const { fit, shorter, tile } = facts.tiles;
  let scale = Math.min(1, fit / Math.max(width, height));
  scale = Math.min(scale, shorter / Math.min(width, height));
  return Math.ceil((width * scale) / tile) * Math.ceil((height * scale) / tile);
}

/** @param {{width: number, height: number}} size */
function patchesOf({ width, height }) {
  const { patch, most } = facts.patches;
  const whole = Math.ceil(width / patch) * Math.ceil(height / patch);
  if (whole <= most) return whole;
  // Shrunk so that whole patches fit across.
  let scale = Math.sqrt((most * patch * patch) / (width * height));
  const [across, down] = [(width * scale) / patch, (height * scale) / patch];
  scale *= Math.min(Math.floor(across) / across, Math.floor(down) / down);
  return Math.min(most, Math.ceil((width * scale) / patch) * Math.ceil((height * scale) / patch));
}
