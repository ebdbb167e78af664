// The package as it is built, against npm's tiktoken: ids and counts of generated texts
// for each vocabulary; then how long the first count and a keystroke take, which is
// printed and never asserted. (tests/tokens compares the crate, natively.)

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { texts } from "../../tests/tokens/texts.mjs";
import { project } from "./pack.mjs";
import { Tiktoken } from "./tiktoken.mjs";

const SEED = Number(process.env.SEED ?? 1);
const TEXTS = Number(process.env.TEXTS ?? 20_000);

/** @type {import("./pack.mjs").Project} */
let app;
/** @type {typeof import("../types/index.js")} */
let tollgate;
before(async () => {
  app = await project();
  tollgate = await import(path.join(app.dir, "node_modules/tollgate/node/index.js"));
});
after(() => app?.remove());

for (const name of /** @type {const} */ (["o200k_base", "cl100k_base", "p50k_base", "r50k_base"]))
  test(`${name} gives tiktoken's ids for ${TEXTS} texts of seed ${SEED}`, async () => {
    const counter = await tollgate.load(name);
    const reference = Tiktoken(name);
    let [compared, special] = [0, 0];
    for (const text of texts(SEED, TEXTS)) {
      const ids = reference.encode_ordinary(text);
      const own = counter.encode(text);
      // Word for word only where they differ: that costs more than the counting.
      if (!Buffer.from(own.buffer, own.byteOffset, own.byteLength).equals(Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength))) assert.deepEqual([...own], [...ids], JSON.stringify(text));
      assert.equal(counter.count(text), ids.length, JSON.stringify(text));
      // All special tokens begin so.
      if (text.includes("<|")) {
        assert.deepEqual([...counter.encode(text, { specials: true })], [...reference.encode(text, "all")], JSON.stringify(text));
        special += 1;
      }
      compared += 1;
    }
    assert.ok(compared >= TEXTS && special >= TEXTS / 100, `${compared}, ${special}`);
  });

for (const name of /** @type {const} */ (["o200k_base", "cl100k_base"]))
  test(`${name} gives tiktoken's ids for every code point, where letters, numbers, blanks and the rest differ`, async () => {
    const counter = await tollgate.load(name);
    const reference = Tiktoken(name);
    const telling = (/** @type {number} */ code) => {
      const text = String.fromCodePoint(code);
      return `${text}'s ${text}a${text}1${text}\n`;
    };
    for (let first = 0; first < 0x110000; first += 256) {
      const codes = Array.from({ length: 256 }, (_, i) => first + i);
      const text = codes.map(telling).join("");
      const [own, ids] = [counter.encode(text), reference.encode_ordinary(text)];
      if (Buffer.from(own.buffer, own.byteOffset, own.byteLength).equals(Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength))) continue;
      for (const code of codes) assert.deepEqual([...counter.encode(telling(code))], [...reference.encode_ordinary(telling(code))], `U+${code.toString(16)}`);
      assert.fail(`U+${first.toString(16)} and the 255 after it, in one text`);
    }
  });

test("the first count, and a keystroke in 1 MB: how long they take", async () => {
  const file = await app.write(
    "first.mjs",
    `import { readFileSync } from "node:fs"; import { init, load } from "tollgate";
    const asset = (name) => readFileSync(new URL(import.meta.resolve("tollgate/" + name)));
    const told = { tokens: {} };
    await init(asset("client_bg.wasm"));
    for (const name of ["o200k_base", "cl100k_base"]) {
      const vocabulary = asset("vocabularies/" + name + ".bin");
      const began = performance.now();
      const counter = await load(name, { vocabulary });
      told.tokens[name] = counter.count("How many tokens?");
      told[name] = performance.now() - began;
    }
    console.log(JSON.stringify(told));`,
  );
  const ran = await app.run(process.execPath, [file]);
  assert.equal(ran.code, 0, ran.err);
  const told = JSON.parse(ran.out);
  assert.deepEqual(told.tokens, { o200k_base: 4, cl100k_base: 4 });

  const counter = await tollgate.load("o200k_base");
  const paragraph = [...texts(SEED, 200)].join(" ").toWellFormed();
  const text = paragraph.repeat(Math.ceil((1 << 20) / paragraph.length));
  const document = counter.document(text);
  /** @type {number[]} */
  const keys = [];
  for (let key = 0; key < 2_000; key++) {
    const at = Math.floor(((key * 7919) % 10_007) / 10_007 * text.length);
    // Not within half of an emoji.
    const place = text.slice(0, at).isWellFormed() ? at : at + 1;
    const began = performance.now();
    document.edit(place, place, "a");
    keys.push(performance.now() - began);
    document.edit(place, place + 1, "");
  }
  assert.equal(document.count, counter.count(text));
  const p95 = keys.sort((a, b) => a - b)[Math.floor(keys.length * 0.95)];
  console.log(`first count after load: o200k ${told.o200k_base.toFixed(0)} ms, cl100k ${told.cl100k_base.toFixed(0)} ms; a keystroke in 1 MB: p95 ${(1000 * p95).toFixed(0)} us`);
});
