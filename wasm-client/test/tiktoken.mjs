// npm's tiktoken, OpenAI's own core compiled to WebAssembly: the reference.

import { createRequire } from "node:module";

/** @type {{get_encoding(name: string): {encode_ordinary(text: string): Uint32Array, encode(text: string, allowed: "all" | string[], disallowed?: "all" | string[]): Uint32Array}}} */
const tiktoken = createRequire(import.meta.url)("tiktoken");

export const Tiktoken = tiktoken.get_encoding;
