// Requests of OpenAI's API, part by part: texts by the vocabulary, what stands
// around them by the figures that OpenAI published.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { byEstimate, openaiMeasure } from "../js/guard/openai.js";
import { pixelsOf } from "../js/guard/pixels.js";
import { init, load } from "./source.mjs";

/** @type {import("../types/index.js").VocabularyCounter} */
let gpt4o;
/** @type {import("../types/index.js").VocabularyCounter} */
let gpt4;

before(async () => {
  await init();
  const from = (/** @type {string} */ name) => ({ vocabulary: new Uint8Array(readFileSync(new URL(`../vocabularies/${name}.merges.gz`, import.meta.url))) });
  [gpt4o, gpt4] = await Promise.all([load("gpt-4o", from("o200k_base")), load("gpt-4", from("cl100k_base"))]);
});

/** The parts by their names. @param {{parts: readonly import("../types/index.js").OpenAiPart[]}} measure */
const named = ({ parts }) => Object.fromEntries(parts.map((part) => [part.name, part]));

/** A file's beginning with this size. @type {Record<string, (width: number, height: number) => Buffer>} */
const FILES = {
  png: (width, height) => {
    const file = Buffer.alloc(40);
    file.write("\x89PNG\r\n\x1a\n", "latin1");
    file.writeUInt32BE(width, 16);
    file.writeUInt32BE(height, 20);
    return file;
  },
  gif: (width, height) => {
    const file = Buffer.from("GIF89a\0\0\0\0");
    file.writeUInt16LE(width, 6);
    file.writeUInt16LE(height, 8);
    return file;
  },
  jpeg: (width, height) => {
    // A profile before the frame, as cameras write it.
    const file = Buffer.alloc(2 + 2 + 300 + 19);
    file.writeUInt16BE(0xffd8, 0);
    file.writeUInt16BE(0xffe1, 2);
    file.writeUInt16BE(300, 4);
    file.writeUInt16BE(0xffc2, 304);
    file.writeUInt16BE(17, 306);
    file.writeUInt16BE(height, 309);
    file.writeUInt16BE(width, 311);
    return file;
  },
  webp: (width, height) => {
    const file = Buffer.alloc(40);
    file.write("RIFF....WEBPVP8X");
    file.writeUIntLE(width - 1, 24, 3);
    file.writeUIntLE(height - 1, 27, 3);
    return file;
  },
  lossless: (width, height) => {
    const file = Buffer.alloc(40);
    file.write("RIFF....WEBPVP8L");
    file.writeUInt32LE(((width - 1) | ((height - 1) << 14)) >>> 0, 21);
    return file;
  },
  lossy: (width, height) => {
    const file = Buffer.alloc(40);
    file.write("RIFF....WEBPVP8 ");
    file.writeUInt16LE(width, 26);
    file.writeUInt16LE(height, 28);
    return file;
  },
};
const picture = (/** @type {number} */ width, /** @type {number} */ height) => `data:image/png;base64,${FILES.png(width, height).toString("base64")}`;

// OpenAI's own example and its API's answers for it (cookbook, sections 6 and 7).
const EXAMPLE = [
  ["system", undefined, "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."],
  ["system", "example_user", "New synergies will help drive top-line growth."],
  ["system", "example_assistant", "Things working well together will increase revenue."],
  ["system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."],
  ["system", "example_assistant", "Let's talk later when we're less busy about how to do better."],
  ["user", undefined, "This late pivot means we don't have time to boil the ocean for the client deliverable."],
].map(([role, name, content]) => ({ role, ...(name && { name }), content }));
const WEATHER = {
  type: "function",
  function: {
    name: "get_current_weather",
    description: "Get the current weather in a given location",
    parameters: {
      type: "object",
      properties: {
        location: { type: "string", description: "The city and state, e.g. San Francisco, CA" },
        unit: { type: "string", description: "The unit of temperature to return", enum: ["celsius", "fahrenheit"] },
      },
      required: ["location"],
    },
  },
};

test("the cookbook's example has the tokens that OpenAI's API counted, with tools and without", () => {
  assert.deepEqual([gpt4o, gpt4].map((counter) => counter.measure({ messages: EXAMPLE }).estimate), [124, 129]);
  const messages = [
    { role: "system", content: "You are a helpful assistant that can answer to questions about the weather." },
    { role: "user", content: "What's the weather like in San Francisco?" },
  ];
  assert.deepEqual([gpt4o, gpt4].map((counter) => counter.measure({ messages, tools: [WEATHER] }).estimate), [101, 105]);
});

test("Chat Completions and Responses say the same in two shapes, and are counted the same", () => {
  const { name, description, parameters } = WEATHER.function;
  const chat = gpt4o.measure({
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "Weather?" }, { type: "image_url", image_url: { url: picture(1024, 1024), detail: "high" } }] },
      { role: "assistant", content: null, tool_calls: [{ id: "c", type: "function", function: { name, arguments: "{}" } }] },
    ],
    tools: [WEATHER],
  });
  const responses = gpt4o.measure({
    input: [
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "input_text", text: "Weather?" }, { type: "input_image", image_url: picture(1024, 1024), detail: "high" }] },
      { type: "function_call", name, arguments: "{}" },
    ],
    tools: [{ type: "function", name, description, parameters }],
  });
  assert.equal(chat.estimate, responses.estimate);
  assert.deepEqual([chat.exact, chat.confidence], [false, "medium"], "roles and tools are estimated");
  const { system, messages, roles, tools, images } = named(chat);
  assert.deepEqual([system.lower, system.upper], [gpt4o.count("Be brief."), gpt4o.count("Be brief.")]);
  assert.equal(messages.estimate, gpt4o.count("Weather?") + gpt4o.count(name) + gpt4o.count("{}"));
  assert.deepEqual([roles.estimate, images.estimate, images.lower], [3 * 4 + 3, 765, 765]);
  assert.ok(tools.lower === 0 && tools.upper > tools.estimate);
  for (const part of chat.parts) assert.ok(part.source.length > 20, part.name);
  const { input } = { input: gpt4o.measure({ instructions: "Be brief.", input: "Weather?" }) };
  assert.deepEqual(Object.keys(named(input)).sort(), ["messages", "roles", "system"]);
});

test("images: OpenAI's own examples, by tiles and by patches, and the bounds of what is not said", () => {
  for (const [model, width, height, detail, lower, estimate, upper] of /** @type {[string, number, number, string | undefined, number, number, number][]} */ ([
    ["gpt-4o", 1024, 1024, "high", 765, 765, 765],
    ["gpt-4o", 2048, 4096, "high", 1105, 1105, 1105],
    ["gpt-4o", 4096, 8192, "low", 85, 85, 85],
    ["gpt-4o", 1024, 1024, undefined, 85, 765, 765],
    ["gpt-4o-mini", 1024, 1024, "high", 25501, 25501, 25501],
    ["gpt-5", 512, 512, "high", 210, 210, 210],
    // Patches alone: 1,024, and 1,452 after shrinking; times 1.62.
    ["gpt-4.1-mini", 1024, 1024, "high", 1659, 1659, 1659],
    ["gpt-5-mini", 1800, 2400, "high", 2353, 2353, 2353],
  ])) {
    const { images } = named(gpt4o.measure({ model, messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: picture(width, height), detail } }] }] }));
    assert.deepEqual([images.lower, images.estimate, images.upper], [lower, estimate, upper], `${model} ${width} ${height} ${detail}`);
  }
  const of = (/** @type {string} */ url, model = "gpt-4o") => named(gpt4o.measure({ model, messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }] })).images;
  const remote = of("https://example.com/a.png");
  assert.deepEqual([remote.lower, remote.upper], [85, 85 + 8 * 170]);
  assert.deepEqual(of(picture(10, 10), "gpt-9").upper, Number.MAX_SAFE_INTEGER);
});

test("an image's size is read of each kind, and of nothing else", () => {
  for (const [kind, file] of Object.entries(FILES)) assert.deepEqual(pixelsOf(file(1203, 845).toString("base64")), { width: 1203, height: 845 }, kind);
  for (const text of ["", "====", "not base64!", Buffer.from("hello").toString("base64"), FILES.png(0, 5).toString("base64"), FILES.jpeg(9, 9).subarray(0, 200).toString("base64"), Buffer.from([0xff, 0xd8, 0xff, 0xd8, 0, 0, 0]).toString("base64")]) assert.equal(pixelsOf(text), null, text.slice(0, 12));
});

test("what is not in the request has no upper bound; what is nonsense throws nothing", () => {
  for (const more of [{ previous_response_id: "r" }, { tools: [{ type: "web_search" }] }, { input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] }]) {
    const { lower, estimate, upper, exact, confidence } = gpt4o.measure({ input: "Hello", ...more });
    assert.deepEqual([exact, confidence], [false, "low"]);
    assert.ok(lower <= estimate && estimate < 200 && upper === Number.MAX_SAFE_INTEGER, JSON.stringify(more));
  }
  for (const nonsense of [{}, { messages: 5 }, { messages: [null, 5, "x", { content: [null, 5, {}] }] }, { input: [{ output: [{}] }] }, { tools: [null, 5, { function: null }] }, { tools: [{ name: "a", parameters: { properties: { a: null, b: { enum: [null, {}, { toString: 5, valueOf: 5 }] } } } }] }]) {
    const { lower, estimate, upper } = gpt4o.measure(/** @type {any} */ (nonsense));
    assert.ok(lower <= estimate && estimate <= upper, JSON.stringify(nonsense));
  }
  /** @type {any} */
  const circular = { type: "function" };
  circular.function = { name: "a", parameters: { properties: { circular } } };
  for (const tool of [1n, { n: 1n }, circular]) assert.throws(() => gpt4o.measure(/** @type {any} */ ({ tools: [tool] })), { code: "bad_request", message: /^The request cannot be written as JSON: / });
  for (const wrong of [null, [], "x"]) assert.throws(() => gpt4o.measure(/** @type {any} */ (wrong)), { code: "bad_request" });
});

test("without the vocabulary it is estimated, and the exact count is within the bounds", async () => {
  const claude = await load("claude-haiku-4-5");
  for (const content of ["Hello", "The gate decides, the worker carries. ".repeat(50), "漢字かな交じり文。".repeat(20), '{"a": [1, 2, 3]}'.repeat(30)]) {
    const request = { model: "gpt-4o", messages: [{ role: "user", content }] };
    const { lower, upper } = openaiMeasure(request, byEstimate(claude.bounds));
    const { estimate } = gpt4o.measure(request);
    assert.ok(lower <= estimate && estimate <= upper, `${lower} ${estimate} ${upper}`);
  }
});
