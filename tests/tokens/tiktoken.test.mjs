// Ids against npm's tiktoken, OpenAI's own tokenizer compiled to wasm: generated
// texts of every kind that has ever told two tokenizers apart. By seed, so a
// failure comes again:
//
//     SEED=7 TEXTS=200000 node --test tests/tokens/tiktoken.test.mjs

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { get_encoding } from "tiktoken";

const SEED = Number(process.env.SEED ?? 1);
const TEXTS = Number(process.env.TEXTS ?? 20_000);
const root = fileURLToPath(new URL("../../", import.meta.url));

for (const name of /** @type {const} */ (["o200k_base", "cl100k_base", "p50k_base", "r50k_base"])) {
  test(`${name} gives tiktoken's ids for ${TEXTS} texts of seed ${SEED}`, async () => {
    const output = await compare(name, corpus(name));
    console.log(output.trim());
    const [, equal, different] = output.match(/(\d+) equal, (\d+) different/) ?? [];
    assert.equal(different, "0", output);
    assert.ok(Number(equal) >= TEXTS);
  });
}

/**
 * @param {string} name
 * @param {Buffer} input
 * @returns {Promise<string>}
 */
function compare(name, input) {
  const cargo = ["run", "-q", "--profile", "tools", "-p", "tollgate-tokens", "--features", "vocabulary"];
  const vocabulary = `wasm-client/vocabularies/${name}.merges.gz`;
  const child = spawn("cargo", [...cargo, "--example", "compare", "--", name, vocabulary], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve(output));
  });
}

/** @param {"o200k_base" | "cl100k_base" | "p50k_base" | "r50k_base"} name */
function corpus(name) {
  const reference = get_encoding(name);
  /** @type {Buffer[]} */
  const parts = [];
  const number = (/** @type {number} */ n) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(n);
    return bytes;
  };
  for (const text of texts(random(SEED))) {
    const bytes = Buffer.from(text); // A lone surrogate becomes U+FFFD, there as here.
    const ids = reference.encode_ordinary(text);
    parts.push(number(bytes.length), bytes, number(ids.length), Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  reference.free();
  return Buffer.concat(parts);
}

/** What tokenizers stumble over. */
const TELLING = [
  ..."aAzZsStTmMdDeElLrRvV019 .,!?'\"-_/\\<>|{}()[]#@&*+=~^`$%",
  ..."\t\n\v\f\r\u{1c}\u{1f}\u{85}\u{a0}\u{1680}\u{2002}\u{200b}\u{2028}\u{2029}\u{202f}\u{3000}\u{feff}\0",
  ..."éÉßſKİıǅʰªºאبกक中文字漢あアー한글。，！「」٣²Ⅷ½\u{301}\u{93f}\u{94d}\u{fe0f}\u{200d}😀👩🏽𝒜𠀀🇩",
  "\r\n", "  ", "    ", "\n\n", "'s", "'S", "'ſ", "'re", "'RE", "'Ve", "'ll", "'lL", "'m", "'T", "'d", "’s",
  "<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>", "<|im_start|>", "<|", "|>",
  "https://", "://", "....", "----", "====", "    return", "\n\tif", "camelCase", "HTTPServer", "ABCdef",
  "\ud800", "\udc00", "ing", "tion", "the", " the", "ة", "ни", "が", "าร", "ក្រ", "გა", "ություն",
];

/** Blocks that texts in one script come from. */
const SCRIPTS = [
  [0x20, 0x7e], [0x20, 0x7e], [0x61, 0x7a], [0xa0, 0x24f], [0x300, 0x36f], [0x370, 0x3ff], [0x400, 0x4ff], [0x530, 0x58f],
  [0x590, 0x5ff], [0x600, 0x6ff], [0x900, 0x97f], [0x980, 0x9ff], [0xb80, 0xbff], [0xc00, 0xc7f], [0xe00, 0xe7f],
  [0x1000, 0x109f], [0x10a0, 0x10ff], [0x1200, 0x137f], [0x1780, 0x17ff], [0x1e00, 0x1eff], [0x2000, 0x206f],
  [0x2190, 0x23ff], [0x2500, 0x27bf], [0x3040, 0x30ff], [0x4e00, 0x9fff], [0x4e00, 0x52ff], [0xac00, 0xd7a3],
  [0xff00, 0xffef], [0x1d400, 0x1d7ff], [0x1f300, 0x1faff], [0x20000, 0x2a6df],
];

/**
 * @param {() => number} next
 * @returns {Iterable<string>}
 */
function* texts(next) {
  const below = (/** @type {number} */ n) => Math.floor(next() * n);
  const pick = (/** @type {any[]} */ list) => list[below(list.length)];
  const any = () => String.fromCodePoint(below(0x110000));
  const many = (/** @type {number} */ n, /** @type {() => string} */ make) => Array.from({ length: n }, make).join("");
  const script = () => {
    const [first, last] = pick(SCRIPTS);
    return many(1 + below(40), () => (below(6) ? String.fromCodePoint(first + below(last - first + 1)) : " "));
  };
  const kinds = [
    () => many(1 + below(20), () => pick(TELLING)),
    () => many(1 + below(8), () => pick(TELLING)),
    () => many(1 + below(12), any),
    () => many(1 + below(3), script),
    () => many(1 + below(6), () => pick(TELLING).repeat(1 + below(40))),
    () => Buffer.from(many(1 + below(60), () => String.fromCharCode(below(256))), "latin1").toString("base64"),
    () => many(1 + below(12), () => pick([" ", "\n", "\t", "\r\n", "\u{85}", "\u{feff}", "\u{a0}", "a", "/", "!"])),
    () => many(1 + below(10), () => `${below(2) ? " " : ""}${many(1 + below(9), () => String.fromCharCode(97 + below(26)))}`),
    () => many(1 + below(4), () => `${pick(TELLING)}${script()}${pick(TELLING)}`),
    // Longer than a merge window.
    () => pick(["ab", "a", "ha", "\u{e01}\u{e32}", "中", "=-", "é"]).repeat(40 + below(120)) + many(below(9), () => pick(TELLING)),
    () => many(80 + below(120), () => String.fromCharCode(97 + below(4))),
  ];
  for (let i = 0; i < TEXTS; i++) yield kinds[i % kinds.length]();
  // Every 97th of all code points, another 97th for each seed, where letters,
  // marks, numbers, blanks and the rest differ.
  for (let code = SEED % 97; code < 0x110000; code += 97) {
    const text = String.fromCodePoint(code);
    yield `${text}'s ${text}a${text}1${text}\n`;
  }
}

/**
 * mulberry32
 *
 * @param {number} seed
 */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
