// A text that is being written: the module's document, in the places of JavaScript's
// strings. A string may hold half of a surrogate pair, which the module has as U+FFFD, one
// unit as well. So the halves are kept here, and one beside an edit is written anew with
// it: then it counts as what it has become.

import { Document } from "#glue";
import { withText } from "./core.js";
import { tokensOf, TollgateError } from "./given.js";

/**
 * A half without its other one.
 *
 * @typedef {{at: number, unit: string}} Half
 */

/** Not those of a pair, which are one character by the flag. */
const HALF = /[\ud800-\udfff]/gu;

/**
 * @param {string} text
 * @param {number} from where it stands
 * @returns {Half[]}
 */
function halvesOf(text, from) {
  // Older browsers cannot ask, and look.
  if (text.isWellFormed?.()) return [];
  return Array.from(text.matchAll(HALF), ({ index, 0: unit }) => ({ at: from + index, unit }));
}

/**
 * @param {import("#glue").Encoder} encoder
 * @param {string} text
 * @returns {import("../types/index.js").TokenDocument}
 */
export function documentOf(encoder, text) {
  const handle = new Document();
  let length = 0;
  /** In order. @type {Half[]} */
  let halves = [];
  let closed = false;
  /** @template T @param {string} text @param {(bytes: number) => T} call */
  const withOpen = (text, call) => {
    if (closed) throw new TollgateError("not_ready", "The document was closed.");
    return withText(text, call);
  };
  const halfAt = (/** @type {number} */ at) => {
    // Nearly always there is none, or it is the last.
    for (let i = halves.length - 1; i >= 0 && halves[i].at >= at; i--) if (halves[i].at === at) return halves[i].unit;
    return "";
  };

  const set = (/** @type {string} */ text) => {
    const tokens = withOpen(text, (bytes) => handle.set(encoder, bytes));
    [length, halves] = [text.length, halvesOf(text, 0)];
    return tokens;
  };
  const edit = (/** @type {number} */ start, /** @type {number} */ end, /** @type {string} */ text) => {
    const put = () => withOpen(text, (bytes) => handle.edit(encoder, start, end, bytes));
    // What does not fit is refused as it is.
    if (start > end || end > length || typeof text !== "string") return put();
    if (halves.length > 0) {
      const [before, behind] = [halfAt(start - 1), halfAt(end)];
      [start, end, text] = [start - before.length, end + behind.length, before + text + behind];
    }
    let tokens;
    try {
      tokens = put();
    } catch (error) {
      // What is left of a torn character is a half like any other.
      const [first, last] = withOpen("", () => [start, end].map((at) => String.fromCodePoint(handle.cut(at))));
      if (first.length + last.length === 2) throw error;
      if (first.length === 2) [start, text] = [start - 1, first[0] + text];
      if (last.length === 2) [end, text] = [end + 1, text + last[1]];
      tokens = put();
    }
    const grown = text.length - (end - start);
    length += grown;
    const added = halvesOf(text, start);
    if (halves.length > 0 || added.length > 0) {
      const behind = halves.filter(({ at }) => at >= end).map(({ at, unit }) => ({ at: at + grown, unit }));
      halves = [...halves.filter(({ at }) => at < start), ...added, ...behind];
    }
    return tokens;
  };
  set(text);

  return {
    get count() {
      return withOpen("", () => handle.count());
    },
    get stable() {
      const stable = () => withOpen("", () => handle.stable(encoder));
      const last = halfAt(length - 1);
      if (!last) return stable();
      // It may become a letter, which belongs to the word before.
      edit(length - 1, length, "");
      try {
        return stable();
      } finally {
        edit(length, length, last);
      }
    },
    set,
    append: (text) => (halves.at(-1)?.at === length - 1 ? edit(length, length, text) : appended(text)),
    edit: (start, end, text) => edit(tokensOf(start, "start"), tokensOf(end, "end"), text),
    close() {
      if (!closed) withText("", () => handle.free());
      closed = true;
    },
  };

  /** @param {string} text */
  function appended(text) {
    const tokens = withOpen(text, (bytes) => handle.append(encoder, bytes));
    halves.push(...halvesOf(text, length));
    length += text.length;
    return tokens;
  }
}
