// Counting: what a call answers, and what it says to bad input.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { random as randomly } from "../../tests/tokens/texts.mjs";
import { copiedBy } from "./copied.mjs";
import { Tiktoken } from "./tiktoken.mjs";
import { halves } from "../js/halves.js";
import { cost, init, load, measure, models, TollgateError } from "./source.mjs";

const asset = (/** @type {string} */ name) => new Uint8Array(readFileSync(new URL(`../vocabularies/${name}.merges.gz`, import.meta.url)));
/** The sources lie elsewhere than the package's files: the vocabulary is given. */
const o200k = () => load("o200k_base", { vocabulary: asset("o200k_base") });
/** @param {import("../types/index.js").ErrorCode} code @param {RegExp} [words] */
const failing = (code, words = /./) => (/** @type {any} */ error) => error instanceof TollgateError && error.code === code && words.test(error.message);

const TORN = /^[\ud800-\udbff][\udc00-\udfff]$/;

/** Whole numbers below another, by a seed. @param {number} seed */
const random = (seed) => {
  const next = randomly(seed);
  return (/** @type {number} */ n) => Math.floor(next() * n);
};

before(async () => {
  await assert.rejects(init(new Uint8Array([1, 2, 3])), failing("no_wasm"));
  assert.throws(() => models(), failing("not_ready", /init\(\) or load\(\)/));
  await init();
  await init();
});

test("names of one vocabulary that are asked for at once share one, and wait for no place but their own", async (t) => {
  const whole = asset("p50k_base");
  const fetch = t.mock.method(globalThis, "fetch");
  /** @type {PromiseWithResolvers<Response>[]} */
  const asked = [];
  fetch.mock.mockImplementation(async () => {
    asked.push(Promise.withResolvers());
    return /** @type {PromiseWithResolvers<Response>} */ (asked.at(-1)).promise;
  });
  const { loadVocabulary } = await import("../js/vocabulary.js");
  const names = ["p50k_base", "code-davinci-002", "text-davinci-003"];
  const from = "https://app.example.com/p50k_base.bin";
  const at = (/** @type {string} */ name, /** @type {any} */ vocabulary = from) => loadVocabulary(name, "p50k_base", vocabulary);
  const turns = async () => {
    for (let turn = 0; turn < 20; turn++) await setImmediate();
  };
  // Of one place, one failure; and whoever has another place goes there.
  const failed = Promise.allSettled(names.map((name) => at(name)));
  const sound = at("p50k_base", whole);
  await turns();
  assert.equal(asked.length, 1);
  asked[0].resolve(new Response("gone", { status: 404 }));
  assert.deepEqual((await failed).map((outcome) => outcome.status), ["rejected", "rejected", "rejected"]);
  assert.equal((await sound).count("Hello, world"), 3);
  assert.equal(asked.length, 1);

  /** @type {WebAssembly.Memory} */
  const memory = (await import("#glue")).initSync().memory;
  const mebibytes = () => memory.buffer.byteLength >> 20;
  const others = /** @type {const} */ (["gpt-5", "gpt-4o", "o200k_base", "gpt-4.1", "o3", "o1"]);
  const before = mebibytes();
  const counters = await Promise.all(others.map((name) => load(name, { vocabulary: asset("o200k_base") })));
  assert.deepEqual(new Set(counters.map((counter) => counter.count("How many tokens?"))), new Set([4]));
  assert.deepEqual(counters.map(({ name }) => name), others);
  const first = mebibytes();
  // Tables of 12 MiB and a cache of 4, with the file they come from; each by itself was 90.
  assert.ok(first - before > 10 && first - before <= 20, `${before} to ${first} MiB`);

  // Nobody waits for another's place, but who names none takes what is on its way.
  const named = (/** @type {any} */ vocabulary) => load("o200k_harmony", { vocabulary });
  const silent = named("https://app.example.com/silent.bin");
  const any = named(undefined);
  assert.equal((await named(asset("o200k_base"))).count("Hello, world"), 3);
  assert.equal(asked.length, 2);
  asked[1].resolve(new Response(asset("o200k_base")));
  // Both are the one that came first.
  const [late, taken, again] = await Promise.all([silent, any, named(undefined)]);
  assert.ok(late === again && taken === again);
  assert.equal(asked.length, 2);
});

test("a vocabulary counts as tiktoken does, ids and all", async () => {
  const counter = await o200k();
  const reference = Tiktoken("o200k_base");
  const texts = ["", "Hello, world", "\ufeffBOM \u0085NEL\r\n", "don't DON'T 'ſ I'LL", "漢字 жук 😀 q\u0301", "a\ud800b", "\udc00", " ".repeat(300), "<|endoftext|>", "a".repeat(5000), "ab\u{1F469}\u200D\u{1F469} 1234567"];
  for (const text of texts) {
    const ids = [...reference.encode_ordinary(text)];
    assert.deepEqual([...counter.encode(text)], ids, JSON.stringify(text.slice(0, 40)));
    assert.equal(counter.count(text), ids.length);
    assert.equal(counter.decode(counter.encode(text)), text.toWellFormed());
    assert.equal(counter.fits(text, ids.length), true);
    assert.equal(ids.length > 0 && counter.fits(text, ids.length - 1), false);
  }
  assert.deepEqual([...counter.encode("a<|endoftext|>", { specials: true })].length, 2);
  for (const text of ["a <|endoftext|>", "<|endofprompt|><|endoftext|>", "<|<|endoftext|>|>"]) assert.throws(() => counter.encode(text, { specials: "refuse" }), { code: "bad_request", message: /special token <\|endof(text|prompt)\|>\.$/ }, text);
  for (const text of ["a <|endoftext|", "<|im_start|>", "<||>", ""]) assert.deepEqual(counter.encode(text, { specials: "refuse" }), counter.encode(text), text);
  assert.equal(counter.exact, true);
});

test("whether a text fits is told by no more of it than that takes", async () => {
  const counter = await o200k();
  const megabytes = "Whoever stands before the gate is told how long to wait. ".repeat(180_000);
  // Of the first its length tells, for no token of o200k has more than 128 bytes.
  for (const [tokens, least, most] of [[0, 0, 0], [100, 0, 0], [100_000, 1, 1 << 20]]) {
    const { answer, copied } = copiedBy(() => counter.fits(megabytes, tokens));
    assert.equal(answer, false);
    assert.ok(copied >= least && copied <= most, `${copied} bytes for ${tokens} tokens`);
  }
  // Nor where nothing cuts it apart, which would be merged whole.
  const letters = Array.from({ length: 1 << 20 }, (_, n) => String.fromCharCode(97 + ((n * n + (n >> 3)) % 26))).join("");
  for (const text of [letters, "漢字仮名".repeat(1 << 18), "สวัสดีชาวโลก".repeat(1 << 16), "a中A".repeat(1 << 18)]) {
    const { answer, copied } = copiedBy(() => counter.fits(text, 10));
    assert.deepEqual([answer, copied], [false, 0]);
    // What is read is bounded by what is asked about, and the answer is the count's.
    const tokens = 2_000;
    const begin = text.slice(0, 64 * tokens);
    const count = counter.count(begin);
    assert.deepEqual([count - 1, count, tokens].map((n) => counter.fits(begin, n)), [false, true, count <= tokens]);
  }
  // What is kept of so long a text would be more than the module's memory holds.
  const huge = "中文".repeat(40 << 20);
  assert.equal(counter.fits(huge, 5), false);
  assert.equal(copiedBy(() => counter.fits(huge, 2 << 20)).answer, false);
  assert.equal(counter.count("it still counts"), 3);
  // Tokens of many bytes, with what lies across the ends of the parts: of 65,536 bytes, and of twice that.
  const across = ["😀".repeat(9), "\ud83d", "a\udc00漢字", " internationalization", "'ll don't", "\r\n\r\n x", "e\u0301".repeat(4), "=".repeat(70)];
  for (const what of across) {
    for (let before = 0; before <= 24; before++) {
      for (const text of [" ".repeat(65_536 - before) + what, " ".repeat(65_536 - before) + what + " ".repeat(65_536 - what.length) + what + "\t".repeat(70_000)]) {
        const tokens = counter.count(text);
        assert.ok(text.length < 65_536 || text.length > tokens * 16, "it comes in parts");
        const answers = [tokens - 1, tokens, tokens + 1].map((most) => counter.fits(text, most));
        assert.deepEqual(answers, [false, true, true], `${JSON.stringify(what)} behind ${65_536 - before} of ${text.length}`);
      }
    }
  }
});

test("models of OpenAI's count by their vocabulary", async () => {
  await o200k();
  const [base, model, harmony] = await Promise.all([o200k(), load("gpt-5.1-mini"), load("gpt-oss-120b", { vocabulary: gunzipSync(asset("o200k_base")) })]);
  assert.deepEqual([model.name, model.encoding, harmony.encoding], ["gpt-5.1-mini", "o200k_base", "o200k_harmony"]);
  assert.equal(model.count("The same tokens"), base.count("The same tokens"));
});

test("halves of emoji stay apart or join, whatever is edited beside them", async () => {
  const counter = await o200k();
  const units = ["a", "\ud83d", "\ude00"];
  const texts = [2, 3, 4].flatMap((length) => Array.from({ length: 3 ** length }, (_, n) => Array.from({ length }, (_, at) => units[Math.floor(n / 3 ** at) % 3]).join("")));
  for (const text of texts) {
    for (let start = 0; start <= text.length; start++) {
      for (const end of [start, start + 1].filter((end) => end <= text.length)) {
        for (const put of ["", "\ud83d", "\ude00"]) {
          const document = counter.document(text);
          document.edit(start, end, put);
          let now = text.slice(0, start) + put + text.slice(end);
          // A half that was lost, or is kept in a wrong place, shows where another comes beside it.
          for (let at = now.length; at >= 0; at--) {
            now = `${now.slice(0, at)}\ude00${now.slice(at)}`;
            assert.equal(document.edit(at, at, "\ude00"), counter.count(now), JSON.stringify([text, start, end, put, now]));
          }
          document.close();
        }
      }
    }
  }
});

test("many halves of emoji are kept through edits anywhere, and a key where the last one was moves none", async () => {
  const counter = await o200k();
  const next = random(11);
  const units = ["\ud83d", "\ude00", "a", "😀"];
  const written = (/** @type {number} */ n) => Array.from({ length: n }, () => units[next(4)]).join("");
  let text = written(200);
  const document = counter.document(text);
  for (let key = 0; key < 1000; key++) {
    const start = next(text.length + 1);
    const end = Math.min(text.length, start + next(8));
    const put = written(next(7));
    text = text.slice(0, start) + put + text.slice(end);
    assert.equal(document.edit(start, end, put), counter.count(text), JSON.stringify([start, end, put, text]));
    // What it ends with may become part of something else.
    if (key % 10 === 0) assert.ok(document.stable <= document.count && document.append("\ude00") === counter.count((text += "\ude00")));
  }

  const many = halves();
  many.set("half \ud83d and half ".repeat(50_000));
  many.edit(500_000, 500_000, "x");
  const { moved } = many;
  for (let key = 0; key < 1000; key++) {
    many.at(500_001 + key);
    many.at(500_000 + key);
    many.edit(500_001 + key, 500_001 + key, "x");
  }
  assert.ok(many.moved - moved < 10, `${many.moved - moved}`);
});

test("places are those of JavaScript's strings: truncate, chunk, document", async () => {
  const counter = await o200k();
  const text = "😀 Two words, then 漢字漢字漢字 and a tail. ".repeat(40);
  for (const tokens of [0, 1, 7, 50, 10_000]) {
    const head = counter.truncate(text, tokens);
    const tail = counter.truncate(text, tokens, { keep: "tail" });
    assert.ok(text.startsWith(head) && text.endsWith(tail) && head.isWellFormed() && tail.isWellFormed());
    assert.ok(counter.count(head) <= tokens && counter.count(tail) <= tokens);
  }
  const chunks = counter.chunk(text, 64, { overlap: 8 });
  assert.ok(chunks.length > 5);
  assert.equal(chunks[0].start, 0);
  assert.equal(chunks.at(-1)?.end, text.length);
  for (const [i, chunk] of chunks.entries()) {
    assert.equal(chunk.text, text.slice(chunk.start, chunk.end));
    assert.equal(counter.count(chunk.text), chunk.tokens);
    assert.ok(chunk.tokens <= 64 && (i === 0 || chunk.start <= chunks[i - 1].end));
  }
  const document = counter.document(text);
  let now = text;
  for (const [start, end, put] of /** @type {[number, number, string][]} */ ([[0, 2, ""], [10, 10, "漢"], [300, 340, "x".repeat(100)], [0, 0, "\ufeff"]])) {
    now = now.slice(0, start) + put + now.slice(end);
    assert.equal(document.edit(start, end, put), counter.count(now));
  }
  assert.equal(document.append(" end"), counter.count((now += " end")));
  assert.ok(document.stable <= document.count && document.stable > document.count - 8);
  assert.throws(() => document.edit(5, now.length + 1, "x"), failing("bad_request", /outside/));
  assert.equal(document.set("short"), counter.count("short"));
  document.close();
});

test("a vocabulary that is cut, damaged, another one or no vocabulary is a rejected promise, and a whole one may follow", async () => {
  const whole = asset("cl100k_base");
  const flipped = gunzipSync(whole);
  flipped[flipped.length >> 1] ^= 1;
  /** @type {[unknown, RegExp][]} */
  const table = [
    [whole.subarray(0, whole.length >> 1), /damaged or cut short/],
    [gunzipSync(whole).subarray(0, 1000), /has 1000 bytes/],
    [flipped, /hash differs/],
    [asset("o200k_base"), /bytes/],
    [new Uint8Array(0), /0 bytes/],
    [new Response("gone", { status: 404 }), /^cl100k_base could not be fetched from the response that was given: status 404$/],
    [7, /a value of type number/],
    // Which is not equal to itself.
    [NaN, /a value of type number/],
    ["http://127.0.0.1:9/none", /could not be fetched/],
    // Beside the sources there is no such file, as where an app was packed without it.
    [undefined, /^cl100k_base could not be fetched: ENOENT/],
  ];
  for (const [vocabulary, words] of table) await assert.rejects(load("cl100k_base", { vocabulary: /** @type {any} */ (vocabulary) }), failing("bad_vocabulary", words));
  const counter = await load("cl100k_base", { vocabulary: new Response(whole) });
  assert.equal(counter.count("Hello, world"), Tiktoken("cl100k_base").encode_ordinary("Hello, world").length);
});

test("a server that falls silent is given up after half a minute, and one that is slow is not", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const whole = asset("r50k_base");
  /** Until all that can go on without time has gone on. */
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await setImmediate();
  };
  const seconds = async (/** @type {number} */ n) => (t.mock.timers.tick(n * 1000), await settle());
  /** @typedef {{signal: AbortSignal}} Init */
  const fetch = t.mock.method(globalThis, "fetch");
  const begin = async (/** @type {(url: any, init: any) => Promise<Response>} */ answer) => {
    fetch.mock.mockImplementation(answer);
    const state = /** @type {{error?: any, counter?: any}} */ ({});
    void load("r50k_base", { vocabulary: "https://app.example.com/r50k_base.bin" }).then((counter) => (state.counter = counter), (error) => (state.error = error));
    await settle();
    return state;
  };
  const never = (/** @type {any} */ _, /** @type {Init} */ { signal }) => /** @type {Promise<Response>} */ (new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))));
  /** @type {any} */
  let body;
  const slowly = async (/** @type {any} */ _, /** @type {Init} */ { signal }) => {
    const start = (/** @type {any} */ controller) => {
      body = controller;
      signal.addEventListener("abort", () => controller.error(signal.reason));
    };
    return new Response(new ReadableStream({ start }));
  };

  const before = await begin(never);
  await seconds(29);
  assert.deepEqual(before, {});
  await seconds(1);
  assert.ok(failing("bad_vocabulary", /r50k_base\.bin: nothing came for 30 seconds/)(before.error), String(before.error));

  const within = await begin(slowly);
  for (const at of [0, 1000, 2000]) {
    await seconds(20);
    body.enqueue(whole.slice(at, at + 1000));
    await settle();
  }
  assert.deepEqual(within, {}, "after a minute");
  await seconds(30);
  assert.ok(failing("bad_vocabulary", /nothing came/)(within.error), String(within.error));

  const slow = await begin(slowly);
  await seconds(29);
  body.enqueue(whole);
  await settle();
  await seconds(29);
  body.close();
  await settle();
  await seconds(60);
  assert.equal(slow.counter.count("Hello, world"), 3);
});

test("names are of the encodings that tiktoken's own list says, and no others are guessed", async () => {
  const { encodingOf } = await import("../js/vocabulary.js");
  /** @type {Record<string, string>} */
  const list = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("tiktoken/model_to_encoding.json"), "utf8"));
  const others = /** @type {Record<string, string | null>} */ ({ gpt2: "r50k_base", p50k_edit: null });
  for (const [name, encoding] of Object.entries(list)) assert.equal(encodingOf(name), encoding in others ? others[encoding] : encoding, name);
  assert.ok(Object.keys(list).length > 100);
  for (const [name, encoding] of [
    ["gpt-3.5", "cl100k_base"],
    ["gpt-35-turbo-16k", "cl100k_base"],
    ["davinci-002", "cl100k_base"],
    ["babbage-002", "cl100k_base"],
    ["davinci", "r50k_base"],
    ["gpt-2", "r50k_base"],
    ["text-embedding-3-large", "cl100k_base"],
    ["ft:gpt-4o-mini-2024-07-18:org::abc123", "o200k_base"],
    ["ft:gpt-4-0613:org:name:abc123", "cl100k_base"],
    ["ft:gpt-3.5-turbo-0125:org::abc123", "cl100k_base"],
    ["ft:babbage-002:org::abc123", "cl100k_base"],
    ["ft:davinci-002:org", "cl100k_base"],
    ["ft:gpt-4.1-mini-2025-04-14:org::abc123", "o200k_base"],
    ["gpt-5.2-codex", "o200k_base"],
    ["gpt-oss-20b", "o200k_harmony"],
  ])
    assert.equal(encodingOf(name), encoding, name);
  for (const name of ["gpt-4.2", "gpt-4.2-mini", "gpt-6", "gpt-3", "gpt-3.5o", "gpt-4x", "o1x", "o2", "o5-mini", "text-embedding-4", "text-embedding-3", "ft:", "ft:gpt-4.2:org", "ft:claude-opus-5-5", "davinci-003", "adam", "text-davinci-edit-001"]) {
    assert.equal(encodingOf(name), null, name);
    await assert.rejects(load(name), failing("unknown_model", new RegExp(`"${name}" is not known, nor which tokenizer it has.*load that by its own name \\(o200k_base`)), name);
  }
});

test("names that mean nothing are refused with those that do", async () => {
  await assert.rejects(load("claude-9"), failing("unknown_model", /claude-sonnet-5-5/));
  await assert.rejects(load("o900k_base"), failing("unknown_model"));
  await assert.rejects(load(/** @type {any} */ (undefined)), failing("not_a_string"));
});

test("what is no string is refused, at every door", async () => {
  const counters = [await load("claude-sonnet-5-5"), await o200k()];
  for (const counter of counters)
    for (const wrong of [undefined, null, 7, {}, ["a"], new String("a")]) {
      assert.throws(() => counter.count(/** @type {any} */ (wrong)), failing("not_a_string"));
      assert.throws(() => counter.fits(/** @type {any} */ (wrong), 5), failing("not_a_string"));
    }
});

test("where there are no web workers the promise is rejected", async () => {
  const { loadInWorker } = await import("../js/worker.js");
  await assert.rejects(loadInWorker("claude-sonnet-5-5"), failing("no_wasm", /web worker could not be started/));
  for (const worker of [{}, null, "thread.js"]) await assert.rejects(loadInWorker("claude-sonnet-5-5", { worker: /** @type {any} */ (worker) }), failing("bad_request", /worker must be a Worker/));
});

/** A web worker whose script is there, and answers that it loaded what it was asked for. */
class Thread extends EventTarget {
  /** @type {any[]} */
  asked = [];
  ended = false;
  postMessage(/** @type {any} */ asked) {
    this.asked.push(asked);
    for (const data of [{ begun: true }, { n: asked.n, value: ["count"] }]) this.dispatchEvent(new MessageEvent("message", { data }));
  }
  terminate() {
    this.ended = true;
  }
}

test("a web worker waits for a vocabulary that comes slowly, and is told its place wherever the page is", async (t) => {
  const { loadInWorker } = await import("../js/worker.js");
  const inThread = (/** @type {any} */ vocabulary, thread = new Thread()) => ({ thread, counter: loadInWorker("r50k_base", { vocabulary, worker: /** @type {any} */ (thread) }) });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { promise, resolve } = Promise.withResolvers();
  const slow = inThread(promise);
  for (let at = 0; at < 3; at++, await setImmediate()) t.mock.timers.tick(30_000);
  resolve(new Uint8Array([1, 2, 3]));
  assert.equal((await slow.counter).name, "r50k_base");
  assert.deepEqual(slow.thread.asked[0].given[1].vocabulary, new Uint8Array([1, 2, 3]));
  t.mock.timers.tick(60_000);
  assert.equal(slow.thread.ended, false);

  // Here there is no document, as in a worker.
  const placed = inThread("https://app.example.com/r50k_base.bin");
  await placed.counter;
  assert.equal(placed.thread.asked[0].given[1].vocabulary, "https://app.example.com/r50k_base.bin");
  for (const nowhere of ["r50k_base.bin", "http://["]) {
    const { thread, counter } = inThread(nowhere);
    await assert.rejects(counter, failing("bad_vocabulary", /r50k_base's vocabulary could not be fetched from /));
    assert.deepEqual([thread.asked, thread.ended], [[], true]);
  }
});

test("arguments out of range are refused, and nothing is left behind", async () => {
  const counter = await o200k();
  for (const tokens of [-1, 1.5, NaN, "5", 2 ** 60]) {
    assert.throws(() => counter.truncate("text", /** @type {any} */ (tokens)), failing("bad_request"));
    assert.throws(() => counter.fits("text", /** @type {any} */ (tokens)), failing("bad_request"));
  }
  assert.throws(() => counter.chunk("text", 0), failing("bad_request", /size/));
  assert.throws(() => counter.decode([0xffff_ffff]), failing("bad_request", /no token has the id/));
  assert.throws(() => counter.decode([1e10]), failing("bad_request", /no token has the id 10000000000/));
  assert.throws(() => counter.decode([-1]), failing("bad_request"));
  for (const wrong of [null, undefined, 5, "13225", new Set([13225]), { length: 2 ** 33 }, { length: -1 }]) assert.throws(() => counter.decode(/** @type {any} */ (wrong)), failing("bad_request", /a list of ids/));
  for (const keep of ["TAIL", "", null, true]) assert.throws(() => counter.truncate("text", 1, { keep: /** @type {any} */ (keep) }), failing("bad_request", /"head" or "tail"/));
  assert.equal(counter.count("Hello, world"), 3);
});

test("a document edited anywhere, within pairs too, counts as its text from scratch", async () => {
  const counter = await o200k();
  const below = random(3);
  // Pairs that are letters, emoji, parts of emoji; ideographs that o200k has as a token and not.
  const parts = ["🦄", "😀", "🏽", "𝒳", "𠀋", "\ud83e", "\udd84", "\ud840", "\udc0b", "word", " ", "1", "'s", "\n", "漢"];
  const some = (/** @type {number} */ most) => Array.from({ length: below(most) }, () => parts[below(parts.length)]).join("");
  let [within, alone, joined] = [0, 0, 0];
  for (let n = 0; n < 150; n++) {
    let now = some(30);
    const document = counter.document(now);
    for (let step = 0; step < 30; step++) {
      const start = below(now.length + 1);
      const end = Math.min(now.length, start + below(5));
      const put = some(4);
      if (TORN.test(now.slice(start - 1, start + 1))) within += 1;
      switch (below(4)) {
        case 0:
          document.append(put);
          now += put;
          break;
        case 1:
          now = now.slice(0, start) + put + now.slice(end);
          document.set(now);
          break;
        default:
          now = now.slice(0, start) + put + now.slice(end);
          document.edit(start, end, put);
      }
      if (!now.isWellFormed()) alone += 1;
      if (TORN.test(now.slice(start - 1, start + 1))) joined += 1;
      assert.equal(document.count, counter.count(now), `${n}, ${step}: ${JSON.stringify(now)}`);
      const { stable } = document;
      assert.ok(stable <= document.count && document.count === counter.count(now));
      const grown = counter.document(now);
      grown.append(some(3) || "\udc0b");
      assert.ok(grown.stable >= stable, `${n}, ${step}: ${JSON.stringify(now)}`);
      grown.close();
    }
    for (const [start, end] of [[now.length + 1, now.length + 1], [0, now.length + 1], [2, 1]]) assert.throws(() => document.edit(start, end, "x"), failing("bad_request", /outside/));
    assert.equal(document.count, counter.count(now));
    document.close();
  }
  assert.ok(within > 200 && alone > 1000 && joined > 50, `${within}, ${alone}, ${joined}`);
  for (const name of /** @type {const} */ (["o200k_base", "cl100k_base", "p50k_base"])) {
    const counter = await load(name, { vocabulary: asset(name) });
    for (const pair of ["🦄", "🪿", "🏽", "𝒳", "𠀋"]) {
      const [appended, edited] = [counter.document("x"), counter.document("x")];
      appended.append(pair[0]);
      appended.append(pair[1]);
      edited.edit(1, 1, pair[1]);
      edited.edit(1, 1, pair[0]);
      assert.deepEqual([appended.count, edited.count], [counter.count(`x${pair}`), counter.count(`x${pair}`)], `${name}, ${pair}`);
    }
  }
});

test("of special tokens some become their ids, and what is none is refused", async () => {
  const counter = await o200k();
  const reference = Tiktoken("o200k_base");
  const text = "a <|endoftext|>'s<|endofprompt|><|endoftext|> <|endoftext <|endoftext|>\ud83e";
  for (const names of [["<|endoftext|>"], ["<|endofprompt|>"], ["<|endofprompt|>", "<|endoftext|>"], []]) assert.deepEqual(counter.encode(text, { specials: names }), reference.encode(text, names, []), names.join());
  assert.deepEqual(counter.encode(text, { specials: ["<|endofprompt|>", "<|endoftext|>"] }), counter.encode(text, { specials: true }));
  assert.notDeepEqual(counter.encode(text, { specials: ["<|endofprompt|>"] }), counter.encode(text, { specials: ["<|endoftext|>"] }));
  for (const name of ["<|im_start|>", "<|endoftext|><|endofprompt|>", "<|endoftext|>\n", "endoftext", "a", "", ".*", undefined, null, 5]) assert.throws(() => counter.encode("a", { specials: /** @type {any} */ (["<|endoftext|>", name]) }), failing("bad_request", /no special token/), String(name));
  for (const specials of ["allow", "<|endoftext|>", 1, null, {}]) assert.throws(() => counter.encode("a", { specials: /** @type {any} */ (specials) }), failing("bad_request", /specials must be/));
  assert.throws(() => counter.encode(/** @type {any} */ (5), { specials: ["<|endoftext|>"] }), failing("not_a_string"));
});

test("ids are the caller's own: texts that come after change none, whatever they take of memory", async () => {
  const counter = await o200k();
  const text = "Whoever stands before the gate waits. ";
  const first = counter.encode(text);
  const kept = [...first];
  // A second one grows the memory, and gives it back.
  for (const again of ["", "漢字", text.repeat(200_000), "a<|endoftext|>", text]) {
    const ids = counter.encode(again, { specials: true });
    assert.equal(counter.decode(ids), again);
    assert.equal(ids.buffer.byteLength, 4 * ids.length);
    assert.deepEqual([...first], kept);
  }
  assert.deepEqual([...counter.encode(text)], kept);
});

test("special tokens that are not allowed are refused or text, as tiktoken's two arguments say", async () => {
  const [END, PROMPT, FIM] = ["<|endoftext|>", "<|endofprompt|>", "<|fim_middle|>"];
  /** @type {("all" | string[])[]} */
  const lists = ["all", [], [END], [PROMPT], [PROMPT, END]];
  const texts = ["", "a", "<|", `a ${END}'s`, `${PROMPT}${END}`, `<|${PROMPT}|>`, `${END.slice(0, -1)}${END}`, `<|im_start|>${FIM}`, `<|a|> ${END} <|a|>${PROMPT}`, `${END}\ud83e`];
  for (const name of /** @type {const} */ (["o200k_base", "cl100k_base"])) {
    const counter = await load(name, { vocabulary: asset(name) });
    const reference = Tiktoken(name);
    const told = (/** @type {() => Uint32Array} */ encode) => {
      try {
        return [...encode()];
      } catch (error) {
        const { message = String(error) } = /** @type {Error} */ (error);
        return message.match(/<\|[a-z_]+\|>/)?.[0] ?? message;
      }
    };
    let refusals = 0;
    for (const text of texts)
      for (const allowed of lists)
        for (const refused of [undefined, ...lists]) {
          const specials = allowed === "all" || allowed;
          const expected = told(() => reference.encode(text, allowed, refused));
          refusals += Number(typeof expected === "string");
          // Left out, tiktoken refuses all that are not allowed.
          assert.deepEqual(told(() => counter.encode(text, { specials, refused: refused ?? "all" })), expected, JSON.stringify([name, text, allowed, refused]));
          if (refused === undefined && allowed.length === 0) assert.deepEqual(told(() => counter.encode(text, { specials: "refuse" })), expected, JSON.stringify([name, text]));
        }
    assert.ok(refusals >= 40, `${refusals}`);
    assert.throws(() => counter.encode(`a ${END} ${PROMPT}`, { specials: [PROMPT], refused: "all" }), failing("bad_request", /holds the special token <\|endoftext\|>\.$/));
  }
  const counter = await o200k();
  assert.throws(() => counter.encode("a", { refused: [FIM] }), failing("bad_request", /o200k_base has no special token <\|fim_middle\|>/));
  for (const refused of ["text", true, null, {}]) assert.throws(() => counter.encode("a", { refused: /** @type {any} */ (refused) }), failing("bad_request", /refused must be "all" or a list/));
  assert.throws(() => counter.encode(/** @type {any} */ (5), { refused: "all" }), failing("not_a_string"));
});

test("what was closed says so, and may be closed again", async () => {
  const counter = await o200k();
  const document = counter.document("some text\ud83e");
  document.close();
  document.close();
  for (const call of [() => document.count, () => document.stable, () => document.set("x"), () => document.append("x"), () => document.edit(0, 1, "x")]) assert.throws(call, failing("not_ready", /document was closed/));
});

test("a trap of the module is one error: what it had made is gone, and all else goes on", async () => {
  const { withText } = await import("../js/core.js");
  const [claude, before] = [await load("claude-sonnet-5-5"), await o200k()];
  const tokens = [claude.count("Hello, world"), before.count("Hello, world")];
  const trap = () => {
    throw new WebAssembly.RuntimeError("unreachable");
  };
  assert.throws(() => withText("x", trap), failing("internal", /unreachable/));
  assert.throws(() => before.count("Hello, world"), failing("not_ready", /load the counter again/));
  assert.deepEqual([claude.count("Hello, world"), (await o200k()).count("Hello, world")], tokens);
});

test("64 MB of text are counted, estimated and measured, and the memory is given back", async () => {
  const text = "The gate decides, the worker carries. ".repeat(1_770_000);
  const claude = await load("claude-sonnet-5-5");
  const { estimate } = claude.bounds(text);
  assert.ok(estimate > 10_000_000);
  assert.ok(Math.abs(claude.measure({ messages: [{ role: "user", content: text.slice(0, 30_000_000) }] }).estimate / estimate - 30_000_000 / text.length) < 0.01);
  const counter = await o200k();
  // All but the last space, which stands alone, repeats.
  const ten = counter.count("The gate decides, the worker carries. ".repeat(10));
  assert.equal(counter.count(text), (ten - 1) * 177_000 + 1);
});

test("a measure: bounds in order, parts with sources, cost, and the request's own mistakes by their field", async () => {
  await load("claude-sonnet-5-5");
  const told = measure({
    model: "claude-sonnet-5-5",
    system: "Be brief.",
    max_tokens: 2048,
    thinking: { type: "enabled", budget_tokens: 1024 },
    tools: [{ name: "weather", description: "The weather of a place", input_schema: { type: "object" } }],
    messages: [{ role: "user", content: "Oslo? ".repeat(200) }],
  });
  assert.ok(told.lower <= told.estimate && told.estimate <= told.upper && !told.exact);
  assert.equal(told.confidence, "medium");
  assert.deepEqual(told.parts.map(({ name }) => name), ["framing", "roles", "system", "messages", "tools", "tool_choice"]);
  assert.deepEqual(told.output, { max_tokens: 2048, thinking_tokens: 1024 });
  assert.ok(told.cost.input_microusd > 0 && told.cost.most_microusd >= cost("claude-sonnet-5-5", { input_tokens: told.estimate, output_tokens: 2048 }));
  assert.equal(told.max_input_tokens, 1_000_000);

  const circle = /** @type {any} */ ({ model: "claude-sonnet-5-5", messages: [] });
  circle.self = circle;
  /** @type {[any, RegExp][]} */
  const table = [
    [null, /not null/],
    [[], /not an array/],
    ["text", /type string/],
    [circle, /cannot be written as JSON/],
    [{ ...circle, toJSON() {} }, /cannot be written as JSON: nothing is left of it/],
    [{ toJSON: () => 7 }, /./],
    [{ model: "claude-sonnet-5-5", messages: [{ role: "user", content: 5 }] }, /messages\.0\.content/],
    [{ model: "claude-sonnet-5-5" }, /messages: field required/],
    [{ messages: [{ role: "user", content: "x" }] }, /model: field required/],
    [{ model: "claude-sonnet-5-5", max_tokens: "many", messages: [{ role: "user", content: "x" }] }, /max_tokens/],
  ];
  for (const [request, words] of table) assert.throws(() => measure(request), failing("bad_request", words));
});

test("half an emoji, and a backslash before what looks like one, are counted as they will be sent", async () => {
  const claude = await load("claude-sonnet-5-5");
  const of = (/** @type {string} */ content) => claude.measure({ messages: [{ role: "user", content }] }).parts.find((/** @type {{name: string}} */ part) => part.name === "messages");
  assert.deepEqual(of("a\ud83d"), of("a\ufffd"));
  assert.notDeepEqual(of("\\ud83d"), of("\ufffd"));
  assert.equal(of("\\ud83d")?.upper, 6);
});
