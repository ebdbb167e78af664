// What callers give that is not what was asked for: every argument of every public function
// is refused by the package's own error, which names it and what came instead.
// (hf.test.mjs does the same for tollgate/hf, which is built.)

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { runInNewContext } from "node:vm";
import { init as start } from "../js/index.js";
import * as tollgate from "./source.mjs";
import { guard, init, load, TollgateError } from "./source.mjs";

/** @typedef {import("../types/index.js").ErrorCode} ErrorCode */

/** Of each kind one. */
const GIVEN = /** @type {Record<string, unknown>} */ ({ undefined, null: null, number: 7, string: "x", boolean: true, array: ["a"], object: {}, function: () => {} });
const NAMED = /** @type {Record<string, RegExp>} */ ({ undefined: /type undefined/, null: /null/, number: /type number/, string: /type string/, boolean: /type boolean/, array: /an array/, object: /type object/, function: /type function/ });
/** What is no number of tokens. */
const NO_TOKENS = [undefined, null, NaN, -1, 1.5, Infinity, -Infinity, "5", 2 ** 60, [5], {}, true];

/** @type {import("../types/index.js").ClaudeCounter} */
let claude;
/** @type {import("../types/index.js").VocabularyCounter} */
let exact;
/** Each would end a Node process, whatever its caller catches. @type {unknown[]} */
const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(error));
const lost = new Error("the line broke");
const rejected = () => /** @type {Promise<never>} */ (Promise.reject(lost));
before(async () => {
  await assert.rejects(start(rejected()), { name: "TollgateError", code: "no_wasm", message: "The WebAssembly module could not be started: the line broke", cause: lost });
  const starting = start(readFileSync(new URL("../build/client_bg.wasm", import.meta.url)));
  await Promise.all([starting, start(rejected()), load("claude-sonnet-5-5", { vocabulary: rejected() })]);
  claude = await load("claude-sonnet-5-5");
  exact = await load("r50k_base", { vocabulary: new Uint8Array(readFileSync(new URL("../vocabularies/r50k_base.merges.gz", import.meta.url))) });
});

/**
 * Each argument: what it is called with, the kinds that are right, the code, and what the
 * error names.
 *
 * @typedef {[string, (given: any) => unknown, string, ErrorCode, RegExp]} Argument
 */

/** @returns {Argument[]} */
const kinds = () => {
  const document = exact.document("some text");
  const options = "object undefined";
  return [
    ["load's name", (name) => load(name), "string", "not_a_string", /^load takes a model's name/],
    ["load's options", (given) => load("claude-sonnet-5-5", given), options, "bad_request", /^load's options are an object/],
    ["load's options, of a vocabulary", (given) => load("r50k_base", given), options, "bad_request", /^load's options are an object/],
    ["measure's request", (request) => tollgate.measure(request), "object", "bad_request", /^measure takes a request/],
    ["cost's model", (model) => tollgate.cost(model, { input_tokens: 1, output_tokens: 1 }), "string", "not_a_string", /^cost takes a model's name/],
    ["cost's usage", (usage) => tollgate.cost("claude-sonnet-5-5", usage), "object", "bad_request", /^cost takes an answer's usage/],
    ["guard's options", (given) => guard(given), "object", "bad_request", /^guard: its options are an object/],
    ["guard's limits", (limits) => guard({ limits }), "object string", "bad_request", /^guard: limits must be the address of \/v1\/limits, or limits/],
    ["a Claude counter's text", (text) => claude.count(text), "string", "not_a_string", /^A text is a string/],
    ["a Claude counter's bounds", (text) => claude.bounds(text), "string", "not_a_string", /^A text is a string/],
    ["a Claude counter's fits", (text) => claude.fits(text, 5), "string", "not_a_string", /^A text is a string/],
    ["a Claude counter's request", (request) => claude.measure(request), "object", "bad_request", /^measure takes a request/],
    ["a text", (text) => exact.count(text), "string", "not_a_string", /^A text is a string/],
    ["the text of bounds", (text) => exact.bounds(text), "string", "not_a_string", /^A text is a string/],
    ["the text of fits", (text) => exact.fits(text, 5), "string", "not_a_string", /^A text is a string/],
    ["the text of encode", (text) => exact.encode(text), "string", "not_a_string", /^A text is a string/],
    ["encode's options", (given) => exact.encode("x", given), options, "bad_request", /^encode's options are an object/],
    ["ids", (ids) => exact.decode(ids), "array", "bad_request", /^decode takes a list of ids/],
    ["the text of truncate", (text) => exact.truncate(text, 5), "string", "not_a_string", /^A text is a string/],
    ["truncate's options", (given) => exact.truncate("x", 5, given), options, "bad_request", /^truncate's options are an object/],
    ["the text of chunk", (text) => exact.chunk(text, 5), "string", "not_a_string", /^A text is a string/],
    ["chunk's options", (given) => exact.chunk("x", 5, given), options, "bad_request", /^chunk's options are an object/],
    ["a request of OpenAI's", (request) => exact.measure(request), "object", "bad_request", /^measure takes a request/],
    ["a document's first text", (text) => exact.document(text).close(), "string undefined", "not_a_string", /^A text is a string/],
    ["a document's whole text", (text) => document.set(text), "string", "not_a_string", /^A text is a string/],
    ["a document's end", (text) => document.append(text), "string", "not_a_string", /^A text is a string/],
    ["a document's edit", (text) => document.edit(0, 1, text), "string", "not_a_string", /^A text is a string/],
  ];
};

test("every argument of a wrong kind is refused by its name", async () => {
  for (const [argument, call, right, code, words] of kinds()) {
    for (const [kind, given] of Object.entries(GIVEN)) {
      if (right.split(" ").includes(kind)) continue;
      await assert.rejects(
        async () => call(given),
        (/** @type {any} */ error) => error instanceof TollgateError && error.code === code && words.test(error.message) && (NAMED[kind].test(error.message) || argument === "guard's limits"),
        `${argument}: ${kind}`,
      );
    }
  }
});

test("what is no number of tokens, and no place, is refused by both counters alike", () => {
  const document = exact.document("some text");
  const usage = { input_tokens: 1, output_tokens: 1, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  for (const [name, call] of /** @type {[string, (given: any) => unknown][]} */ ([
    ["tokens", (tokens) => claude.fits("text", tokens)],
    ["tokens", (tokens) => exact.fits("text", tokens)],
    ["tokens", (tokens) => exact.truncate("text", tokens)],
    ["size", (size) => exact.chunk("text", size)],
    ["start", (start) => document.edit(start, 4, "")],
    ["end", (end) => document.edit(0, end, "")],
    ["usage.input_tokens", (input_tokens) => tollgate.cost("claude-sonnet-5-5", { ...usage, input_tokens })],
    ["usage.output_tokens", (output_tokens) => tollgate.cost("claude-sonnet-5-5", { ...usage, output_tokens })],
  ]))
    for (const given of NO_TOKENS) assert.throws(() => call(given), { name: "TollgateError", code: "bad_request", message: new RegExp(`^${name} must be a whole number, [01] or more\\.$`) }, `${name}: ${given}`);
  for (const field of ["cache_creation_input_tokens", "cache_read_input_tokens"]) {
    // An answer may have none of them.
    for (const given of NO_TOKENS.slice(2)) assert.throws(() => tollgate.cost("claude-sonnet-5-5", { ...usage, [field]: /** @type {any} */ (given) }), { code: "bad_request", message: new RegExp(`^usage.${field} must be`) }, `${field}: ${given}`);
    assert.equal(tollgate.cost("claude-sonnet-5-5", { ...usage, [field]: null }), tollgate.cost("claude-sonnet-5-5", usage));
  }
  for (const given of NO_TOKENS.slice(1)) assert.throws(() => exact.chunk("text", 5, { overlap: /** @type {any} */ (given) }), { code: "bad_request", message: /^overlap must be/ }, String(given));
  assert.deepEqual([claude.fits("text", 0), claude.fits("text", 4), exact.fits("text", 0), exact.fits("text", 1)], [undefined, true, false, true]);
});

test("a promise that fails is the package's own error where it is needed, and nobody's where it is not", async () => {
  const vocabulary = rejected;
  const failed = { name: "TollgateError", code: "bad_vocabulary", message: "p50k_base could not be fetched: the line broke", cause: lost };
  // Before anything awaits it, and after.
  await assert.rejects(load("p50k_base", { vocabulary: vocabulary() }), failed);
  await assert.rejects(load("p50k_base", { vocabulary: setImmediate().then(rejected) }), failed);
  for (const reason of ["gone", undefined, Symbol("gone")]) await assert.rejects(load("p50k_base", { vocabulary: Promise.reject(reason) }), { ...failed, message: `p50k_base could not be fetched: ${String(reason)}`, cause: reason });
  for (const [name, code] of /** @type {[any, ErrorCode][]} */ ([[7, "not_a_string"], ["claude-none", "unknown_model"]])) await assert.rejects(load(name, { vocabulary: vocabulary() }), { code });
  // Of another realm, as under some test runners.
  const foreign = runInNewContext("Promise.reject(new Error('the line broke'))");
  for (const promise of [vocabulary(), foreign, setImmediate().then(rejected)]) {
    assert.equal(await load("r50k_base", { vocabulary: promise }), exact);
    assert.equal((await load("text-davinci-001", { vocabulary: promise })).count("text"), 1);
    assert.equal(await load("claude-sonnet-5-5", { vocabulary: promise }), claude);
    await start(promise);
    guard({ limits: { rpm: 1 }, wasm: promise }).close();
    assert.throws(() => guard({ limits: /** @type {any} */ (7), wasm: promise }), { code: "bad_request" });
    await promise.catch(() => {});
  }
  await setImmediate();
  assert.deepEqual(unhandled, []);
});

test("the table has every public function", () => {
  const tried = kinds().map(([, call]) => call.toString()).join("\n");
  const own = (/** @type {object} */ of) => Object.entries(of).flatMap(([name, value]) => (typeof value === "function" ? [name] : []));
  // Whatever init and initSync take that is no module is `no_wasm`: count.test.mjs. The rest takes nothing.
  const without = ["init", "initSync", "models", "TollgateError", "close"];
  for (const name of [...own(tollgate), ...own(claude), ...own(exact), ...own(exact.document())]) if (!without.includes(name)) assert.match(tried, new RegExp(`\\b${name}\\(`), name);
});

test("a counter in a web worker is refused what the others are", async () => {
  const { loadInWorker } = await import("../js/worker.js");
  for (const given of [undefined, null, 7, ["a"], {}]) await assert.rejects(loadInWorker(/** @type {any} */ (given)), { name: "TollgateError", code: "not_a_string", message: /^loadInWorker takes a model's name/ });
  for (const given of [null, 7, "x", ["a"]]) await assert.rejects(loadInWorker("claude-sonnet-5-5", /** @type {any} */ (given)), { name: "TollgateError", code: "bad_request", message: /^loadInWorker's options are an object/ });
});
