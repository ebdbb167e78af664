// A text that is being written: the module's document, in the places of JavaScript's
// strings. A string may hold half of a surrogate pair, which the module has as U+FFFD, one
// unit as well. So the halves are kept here (halves.js), and one beside an edit is written anew
// with it: then it counts as what it has become.

import { Document } from "#glue";
import { withText } from "./core.js";
import { tokensOf, TollgateError } from "./given.js";
import { halves as none } from "./halves.js";

/**
 * @param {import("#glue").Encoder} encoder
 * @param {string} text
 * @returns {import("../types/index.js").TokenDocument}
 */
export function documentOf(encoder, text) {
  const handle = new Document();
  let length = 0;
  const halves = none();
  let closed = false;
  /** @template T @param {string} text @param {(bytes: number) => T} call */
  const withOpen = (text, call) => {
    if (closed) throw new TollgateError("not_ready", "The document was closed.");
    return withText(text, call);
  };

  const set = (/** @type {string} */ text) => {
    const tokens = withOpen(text, (bytes) => handle.set(encoder, bytes));
    length = text.length;
    halves.set(text);
    return tokens;
  };
  const edit = (/** @type {number} */ start, /** @type {number} */ end, /** @type {string} */ text) => {
    const put = () => withOpen(text, (bytes) => handle.edit(encoder, start, end, bytes));
    // What does not fit is refused as it is.
    if (start > end || end > length || typeof text !== "string") return put();
    const [behind, before] = [halves.at(end), halves.at(start - 1)];
    [start, end, text] = [start - before.length, end + behind.length, before + text + behind];
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
    length += text.length - (end - start);
    halves.edit(start, end, text);
    return tokens;
  };
  set(text);

  return {
    get count() {
      return withOpen("", () => handle.count());
    },
    get stable() {
      const stable = () => withOpen("", () => handle.stable(encoder));
      const last = halves.last();
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
    append: (text) => (halves.last() ? edit(length, length, text) : appended(text)),
    edit: (start, end, text) => edit(tokensOf(start, "start"), tokensOf(end, "end"), text),
    close() {
      if (!closed) withText("", () => handle.free());
      closed = true;
    },
  };

  /** @param {string} text */
  function appended(text) {
    const tokens = withOpen(text, (bytes) => handle.append(encoder, bytes));
    halves.edit(length, length, text);
    length += text.length;
    return tokens;
  }
}
