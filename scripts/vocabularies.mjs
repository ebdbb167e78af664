// Writes wasm-client/vocabularies: OpenAI's vocabularies as merge lists, and
// index.json, which says what each file is. Run it again at any time:
//
//     node scripts/vocabularies.mjs           write
//     node scripts/vocabularies.mjs --check   compare with what is there
//
// The ranks come from npm's `tiktoken`, which carries OpenAI's files line by line.
// They are put together to the very file again and compared with the SHA-256 that
// tiktoken's openai_public.py states for it, so that nothing between OpenAI and
// this script needs to be trusted.
//
// Why merge lists: every token of two bytes or more is made by byte-pair encoding
// from two earlier ones, so that a pair of ids says all of it. Grouped by byte
// significance, the pairs compress better than the tokens' bytes do, and the
// reader gets the pair table, which merging needs, for free.
//
// The form (crates/tokens/src/bpe/file.rs reads it; all integers little-endian):
//
//     0   4  "TGV1"
//     4   4  n: ids 0 … n-1
//     8   8  checksum of everything from byte 16
//     16  16 name, filled up with zeros
//     32  256 the byte that id 0 … 255 stands for
//     288 6(n-256) six planes of n-256 bytes: left id's bits 0-7, 8-15, 16-23,
//         right id's the same. 0xFFFFFF twice: no token has this id.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gunzipSync, gzipSync } from "node:zlib";

/** SHA-256 of OpenAI's files: tiktoken_ext/openai_public.py of tiktoken 0.12. */
const SOURCES = {
  o200k_base: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
  cl100k_base: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
  p50k_base: "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
  r50k_base: "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
};

const NO_TOKEN = 0xffffff;
const directory = new URL("../wasm-client/vocabularies/", import.meta.url);
const require = createRequire(import.meta.url);
const check = process.argv[2] === "--check";

mkdirSync(directory, { recursive: true });
/** @type {Record<string, object>} */
const index = {};
let different = 0;
for (const [name, sha256] of Object.entries(SOURCES)) {
  const tokens = ranks(name);
  if (openAiSha256(tokens) !== sha256) throw new Error(`${name}: not OpenAI's file`);
  const bytes = mergeList(name, tokens);
  const file = `${name}.merges.gz`;
  // Two builds of zlib compress differently: the content decides, not the file.
  const old = present(file);
  if (!old || !gunzipSync(old).equals(bytes)) {
    different += 1;
    if (!check) writeFileSync(new URL(file, directory), gzipSync(bytes, { level: 9, memLevel: 9 }));
  }
  const zipped = present(file) ?? Buffer.alloc(0);
  index[name] = { file, bytes: bytes.length, gzip: zipped.length, sha256: sha(bytes), source_sha256: sha256 };
  console.log(`${name}: ${tokens.length} ids, ${bytes.length} bytes, ${zipped.length} gzip`);
}
const text = `${JSON.stringify(index, null, 2)}\n`;
if (present("index.json")?.toString() !== text) {
  different += 1;
  if (!check) writeFileSync(new URL("index.json", directory), text);
}
if (check && different) throw new Error(`${different} files differ: run node scripts/vocabularies.mjs`);

/** @param {string} file */
function present(file) {
  try {
    return readFileSync(new URL(file, directory));
  } catch {
    return undefined;
  }
}

/**
 * The tokens by id, as strings of a character a byte; a hole where no token is.
 *
 * @param {string} name
 */
function ranks(name) {
  const { bpe_ranks } = JSON.parse(readFileSync(require.resolve(`tiktoken/encoders/${name}.json`), "utf8"));
  /** @type {string[]} */
  const tokens = [];
  for (const line of bpe_ranks.split("\n")) {
    const [, offset, ...encoded] = line.split(" ");
    encoded.forEach((/** @type {string} */ token, /** @type {number} */ i) => {
      tokens[Number(offset) + i] = Buffer.from(token, "base64").toString("latin1");
    });
  }
  return tokens;
}

/** @param {string[]} tokens */
function openAiSha256(tokens) {
  const hash = createHash("sha256");
  // forEach passes over holes.
  tokens.forEach((token, id) => hash.update(`${Buffer.from(token, "latin1").toString("base64")} ${id}\n`));
  return hash.digest("hex");
}

/**
 * @param {string} name
 * @param {string[]} tokens
 */
function mergeList(name, tokens) {
  const ids = new Map();
  tokens.forEach((token, id) => ids.set(token, id));
  const merges = tokens.length - 256;
  const out = Buffer.alloc(288 + 6 * merges);
  out.write("TGV1", 0, "latin1");
  out.writeUInt32LE(tokens.length, 4);
  out.write(name, 16, "latin1");
  for (let id = 0; id < 256; id++) {
    if (tokens[id]?.length !== 1) throw new Error(`${name}: id ${id} is no single byte`);
    out.write(tokens[id], 32 + id, "latin1");
  }
  for (let i = 0; i < merges; i++) {
    const token = tokens[256 + i];
    const pair = token === undefined ? [NO_TOKEN, NO_TOKEN] : halves(token, 256 + i, ids);
    pair.forEach((id, side) => {
      for (let plane = 0; plane < 3; plane++) {
        out[288 + (3 * side + plane) * merges + i] = (id >> (8 * plane)) & 0xff;
      }
    });
  }
  out.writeBigUInt64LE(checksum(out.subarray(16)), 8);
  return out;
}

/**
 * The two tokens that byte-pair encoding joins last to make this one.
 *
 * @param {string} token
 * @param {number} id
 * @param {Map<string, number>} ids
 */
function halves(token, id, ids) {
  const parts = [...token];
  while (parts.length > 2) {
    let best = id;
    let at = -1;
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = ids.get(parts[i] + parts[i + 1]) ?? id;
      if (rank < best) [best, at] = [rank, i];
    }
    if (at < 0) throw new Error(`id ${id} is not made of two earlier tokens`);
    parts.splice(at, 2, parts[at] + parts[at + 1]);
  }
  const pair = parts.map((part) => ids.get(part) ?? id);
  if (pair.some((half) => half >= id)) throw new Error(`id ${id} is made of later tokens`);
  return pair;
}

/**
 * Against damage, not against malice (index.json has SHA-256 for that): words of
 * eight bytes, the last one filled up with zeros, and the length.
 *
 * @param {Buffer} bytes
 */
function checksum(bytes) {
  const words = Buffer.alloc(Math.ceil(bytes.length / 8) * 8);
  bytes.copy(words);
  let hash = BigInt(bytes.length);
  for (let at = 0; at < words.length; at += 8) {
    hash = BigInt.asUintN(64, (hash ^ words.readBigUInt64LE(at)) * 0x9e3779b97f4a7c15n);
    hash ^= hash >> 32n;
  }
  return hash;
}

/** @param {Buffer} bytes */
function sha(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
