// The prompt in blocks, so that tokens are cut and drawn only where somebody looks.
//
// A block ends where no token can reach across, so what is cut block by block is
// what cutting the whole would give. An edit leaves all other blocks as they are.

/** A block of code or prose, some twenty lines: cut in well under a millisecond. */
const UNITS = 1_500;
/** Without a place to end for so long (no spaces, no lines), it ends anyway, and a token there may be drawn in two. */
const UNITS_MAX = 6_000;

/**
 * @typedef {{id: number, text: string}} Block
 * @typedef {{at: number, removed: number, added: Block[]}} Change
 */

export class Blocks {
  #text = "";
  /** @type {Block[]} */
  #blocks = [];
  #ids = 0;

  /** @param {number} id */
  find(id) {
    return this.#blocks.find((block) => block.id === id);
  }

  /** All ids are new from here on: the same text is to be cut otherwise. */
  clear() {
    const removed = this.#blocks.length;
    this.#text = "";
    this.#blocks = [];
    return removed;
  }

  /**
   * Makes this the text.
   *
   * @param {string} text
   * @returns {Change}
   */
  set(text) {
    const before = this.#text;
    const [same, sameEnd] = common(before, text);
    // Where a block may end depends on one unit before and two after.
    let head = 0;
    let start = 0;
    while (head < this.#blocks.length && start + this.#blocks[head].text.length + 2 <= same) start += this.#blocks[head++].text.length;
    let tail = 0;
    let end = 0;
    while (tail < this.#blocks.length - head && end + this.#blocks[this.#blocks.length - 1 - tail].text.length + 1 <= sameEnd) end += this.#blocks[this.#blocks.length - 1 - tail++].text.length;
    const added = split(text.slice(start, text.length - end)).map((text) => ({ id: ++this.#ids, text }));
    const removed = this.#blocks.length - head - tail;
    this.#blocks.splice(head, removed, ...added);
    this.#text = text;
    return { at: head, removed, added };
  }
}

/**
 * @param {string} text
 * @returns {string[]} which make the text again
 */
export function split(text) {
  const parts = [];
  let start = 0;
  while (text.length - start > UNITS) {
    const end = endOf(text, start + UNITS, Math.min(start + UNITS_MAX, text.length));
    parts.push(text.slice(start, end));
    start = end;
  }
  if (start < text.length) parts.push(text.slice(start));
  return parts;
}

/**
 * A line's end if one is near, since a block begins a line when it is drawn.
 *
 * @param {string} text
 * @param {number} from
 * @param {number} to
 */
function endOf(text, from, to) {
  let space = 0;
  for (let at = from; at < to; at++) {
    const before = text.charCodeAt(at - 1);
    // No vocabulary has a token over a line's end and what is no space after it,
    // but for a slash (o200k: `[\r\n/]*`).
    if (before === 10 && /[!-.0-~]|\p{L}/u.test(text[at])) return at;
    // A space between letters belongs to the word after it.
    if (!space && text[at] === " " && letter(before) && letter(text.charCodeAt(at + 1))) space = at;
  }
  if (space) return space;
  if (to === text.length) return to;
  const half = (text.charCodeAt(to) & 0xfc00) === 0xdc00;
  return half ? to - 1 : to;
}

/** @param {number} unit */
function letter(unit) {
  return (unit | 32) >= 97 && (unit | 32) <= 122;
}

/**
 * Units that both begin with, and that both end with beyond those.
 *
 * @param {string} a
 * @param {string} b
 */
function common(a, b) {
  const most = Math.min(a.length, b.length);
  let head = 0;
  while (head < most && a.charCodeAt(head) === b.charCodeAt(head)) head++;
  let tail = 0;
  while (tail < most - head && a.charCodeAt(a.length - 1 - tail) === b.charCodeAt(b.length - 1 - tail)) tail++;
  return [head, tail];
}
