// Who is compared, each made ready from bytes that are there: the same in Node and
// in a browser. Texts are JavaScript's strings for everyone; who works in wasm pays
// for bringing them across.

/**
 * @typedef {object} Counter
 * @property {(text: string) => number} count
 * @property {(text: string) => ArrayLike<number>} encode
 *
 * @typedef {object} Contestant
 * @property {string} name
 * @property {"ours" | "js" | "wasm"} kind
 * @property {(bytes: (name: string) => Uint8Array<ArrayBuffer>) => Promise<Counter>} start
 */

/** @type {Contestant[]} */
export const contestants = [
  {
    name: "tollgate",
    kind: "ours",
    async start(bytes) {
      const { init, load } = await import("tollgate");
      await init(bytes("client_bg.wasm"));
      return load("o200k_base", { vocabulary: bytes("o200k_base.bin") });
    },
  },
  {
    name: "gpt-tokenizer",
    kind: "js",
    async start() {
      const { countTokens, encode } = await import("gpt-tokenizer/encoding/o200k_base");
      return { count: countTokens, encode };
    },
  },
  {
    name: "ai-tokenizer",
    kind: "js",
    async start() {
      const [{ Tokenizer }, encoding] = await Promise.all([import("ai-tokenizer"), import("ai-tokenizer/encoding/o200k_base")]);
      const tokenizer = new Tokenizer(encoding);
      return { count: (text) => tokenizer.count(text), encode: (text) => tokenizer.encode(text) };
    },
  },
  {
    name: "js-tiktoken",
    kind: "js",
    async start() {
      const [{ Tiktoken }, { default: ranks }] = await Promise.all([import("js-tiktoken/lite"), import("js-tiktoken/ranks/o200k_base")]);
      const tokenizer = new Tiktoken(ranks);
      const encode = (/** @type {string} */ text) => tokenizer.encode(text, [], []);
      return { count: (text) => encode(text).length, encode };
    },
  },
  {
    // OpenAI's core; its package is what JavaScript programs take, so it is a JS peer.
    name: "tiktoken",
    kind: "js",
    async start(bytes) {
      const [lite, { default: ranks }] = await Promise.all([import("tiktoken/lite/init"), import("tiktoken/encoders/o200k_base.json")]);
      const { init, Tiktoken } = lite.default ?? lite;
      await init((imports) => WebAssembly.instantiate(bytes("tiktoken_bg.wasm"), imports));
      const tokenizer = new Tiktoken(ranks.bpe_ranks, ranks.special_tokens, ranks.pat_str);
      return { count: (text) => tokenizer.encode_ordinary(text).length, encode: (text) => tokenizer.encode_ordinary(text) };
    },
  },
  ...["fastokens", "toktok", "tiktoken"].map((name) => ({ name: `${name} (crate)`, kind: /** @type {const} */ ("wasm"), start: crate(name) })),
];

/**
 * @param {string} name
 * @returns {Contestant["start"]}
 */
function crate(name) {
  return async (bytes) => {
    const { instance } = await WebAssembly.instantiate(bytes(`${name}.wasm`));
    const { memory, room, load, count, encode, ids } = /** @type {any} */ (instance.exports);
    const encoder = new TextEncoder();
    let view = new Uint8Array(0);
    const roomFor = (/** @type {number} */ length) => {
      if (view.length < length || view.buffer !== memory.buffer) {
        const size = Math.max(length, view.length);
        // It may grow the memory, whose buffer is another one then.
        const at = room(size);
        view = new Uint8Array(memory.buffer, at, size);
      }
      return view;
    };
    const written = (/** @type {string} */ text) => encoder.encodeInto(text, roomFor(text.length * 3)).written;
    // Only fastokens brings no vocabulary; it is given ours.
    const vocabulary = name === "fastokens" ? new Uint8Array(await new Response(new Blob([bytes("o200k_base.bin")]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer()) : new Uint8Array(0);
    roomFor(vocabulary.length).set(vocabulary);
    load(vocabulary.length);
    return {
      count: (text) => count(written(text)),
      encode(text) {
        const length = encode(written(text));
        return new Uint32Array(memory.buffer, ids(), length).slice();
      },
    };
  };
}
