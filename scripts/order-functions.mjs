// Names a module's functions so that those stand side by side that are alike, for
// `wasm-opt --reorder-functions-by-name`.
//
//     node scripts/order-functions.mjs OPTIMISED IN OUT
//
// gzip finds what it has seen 32 KB ago at most. OPTIMISED says what the functions look
// like in the end, by their names; OUT is IN with each of these names preceded by its
// place. Both must have names (`wasm-opt -g`).

import { readFileSync, writeFileSync } from "node:fs";

// By trial on the Worker's module (2026-12-01): runs of 4, 5 and 8, windows of 24,000 and
// 31,000, and 1,000 for COMMON gave 0.2 to 3 KB more.

/** Bytes of code that the next function is compared with: gzip's window, less what is between. */
const WINDOW = 28_000;
/** Two functions are alike as far as they have runs of so many bytes in common, */
const RUN = 6;
/** that not so many have that they say nothing. */
const COMMON = 200;
/** A short function has few runs, and must not go first for one of them. */
const SHORT = 20;

const CODE = 10;
const CUSTOM = 0;

/** Reads WebAssembly's numbers. */
class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  take(/** @type {number} */ length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text() {
    return new TextDecoder().decode(this.take(this.number()));
  }
}

/** @param {Uint8Array} module @returns {{id: number, body: Uint8Array}[]} */
function sections(module) {
  const reader = new Reader(module, 8);
  const found = [];
  while (reader.at < module.length) {
    const id = reader.bytes[reader.at++];
    found.push({ id, body: reader.take(reader.number()) });
  }
  return found;
}

/** The name section's parts. @param {Uint8Array} body @returns {Reader | undefined} */
function named(body) {
  const reader = new Reader(body);
  return reader.text() === "name" ? reader : undefined;
}

/** @param {Uint8Array} module @returns {Map<number, string>} */
function names(module) {
  /** @type {Map<number, string>} */
  const found = new Map();
  for (const { id, body } of sections(module)) {
    const reader = id === CUSTOM ? named(body) : undefined;
    while (reader && reader.at < body.length) {
      const [part, length] = [reader.take(1)[0], reader.number()];
      const inner = new Reader(reader.take(length));
      if (part !== 1) continue;
      for (let left = inner.number(); left > 0; left--) found.set(inner.number(), inner.text());
    }
  }
  return found;
}

/** The code of each function, by name. @param {Uint8Array} module */
function functions(module) {
  const called = names(module);
  const reader = new Reader(sections(module).find(({ id }) => id === CODE)?.body ?? Buffer.from([0]));
  const count = reader.number();
  // Imported functions come first, and not all have names.
  const imported = Math.max(...called.keys()) + 1 - count;
  return Array.from({ length: count }, (_, n) => ({ name: called.get(imported + n) ?? "", code: reader.take(reader.number()) }));
}

/**
 * Each function's place by name: the first stays first, and each next one is that with most in
 * common with what is in the window.
 *
 * @param {{name: string, code: Uint8Array}[]} all
 * @returns {Map<string, string>}
 */
function order(all) {
  const runs = runsOf(all.map(({ code }) => code));
  const alike = new Float64Array(all.length);
  const left = new Set(all.keys());
  const seen = new Map();
  /** @type {number[]} */
  const window = [];
  let bytes = 0;
  const places = new Map();
  for (let next = 0; left.size > 0; ) {
    left.delete(next);
    places.set(all[next].name, String(places.size).padStart(6, "0"));
    window.push(next);
    bytes += all[next].code.length;
    for (const run of runs.of[next]) {
      const times = (seen.get(run) ?? 0) + 1;
      seen.set(run, times);
      if (times === 1) for (const other of runs.having[run]) alike[other] += 1;
    }
    while (bytes > WINDOW && window.length > 1) {
      const gone = /** @type {number} */ (window.shift());
      bytes -= all[gone].code.length;
      for (const run of runs.of[gone]) {
        const times = seen.get(run) - 1;
        seen.set(run, times);
        if (times === 0) for (const other of runs.having[run]) alike[other] -= 1;
      }
    }
    let best = -1;
    for (const other of left) {
      const share = alike[other] / (all[other].code.length + SHORT);
      if (share > best) [best, next] = [share, other];
    }
  }
  return places;
}

/**
 * The runs that several functions have, by number: those of each, and who has each.
 *
 * @param {Uint8Array[]} codes
 */
function runsOf(codes) {
  /** @type {Map<string, number[]>} */
  const having = new Map();
  codes.forEach((code, n) => {
    const text = Buffer.from(code).toString("latin1");
    for (let at = 0; at + RUN <= text.length; at++) {
      const run = text.slice(at, at + RUN);
      const those = having.get(run);
      if (those === undefined) having.set(run, [n]);
      else if (those.at(-1) !== n) those.push(n);
    }
  });
  const shared = [...having.values()].filter((those) => those.length > 1 && those.length <= COMMON);
  /** @type {number[][]} */
  const of = codes.map(() => []);
  shared.forEach((those, run) => those.forEach((n) => of[n].push(run)));
  return { having: shared, of };
}

/** @param {Uint8Array} module @param {Map<string, string>} places */
function renamed(module, places) {
  const entries = [...names(module)].map(([index, name]) => {
    const text = Buffer.from(`${places.get(name) ?? ""} ${name}`);
    return Buffer.concat([number(index), number(text.length), text]);
  });
  const part = Buffer.concat([number(entries.length), ...entries]);
  const title = Buffer.from("\x04name", "latin1");
  const body = Buffer.concat([title, Buffer.from([1]), number(part.length), part]);
  const others = sections(module).filter(({ id, body }) => id !== CUSTOM || !named(body));
  const all = [...others, { id: CUSTOM, body }].map(({ id, body }) => Buffer.concat([Buffer.from([id]), number(body.length), body]));
  return Buffer.concat([module.subarray(0, 8), ...all]);
}

/** @param {number} value */
function number(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}

const [, , optimised, from, to] = process.argv;
const places = order(functions(readFileSync(optimised)));
writeFileSync(to, renamed(readFileSync(from), places));
