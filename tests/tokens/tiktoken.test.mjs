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
import { texts } from "./texts.mjs";

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
  for (const text of texts(SEED, TEXTS)) {
    const bytes = Buffer.from(text); // A lone surrogate becomes U+FFFD, there as here.
    const ids = reference.encode_ordinary(text);
    parts.push(number(bytes.length), bytes, number(ids.length), Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  reference.free();
  return Buffer.concat(parts);
}
