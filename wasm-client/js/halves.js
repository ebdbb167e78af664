// The halves of surrogate pairs in a text that is being written, each without its other one. They
// are kept to both sides of a place, as text is in a gap buffer: a key where the last one was
// moves none, however many there are.

/**
 * @typedef {{place: number, unit: string}} Half
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
  return Array.from(text.matchAll(HALF), ({ index, 0: unit }) => ({ place: from + index, unit }));
}

/** Of an empty text. */
export function halves() {
  let length = 0;
  /** By their place, in order. @type {Half[]} */
  let before = [];
  /** By what the text has from their place on, the last of the text first. @type {Half[]} */
  let behind = [];
  /** How many were moved so far, by which tests count the work. */
  let moved = 0;

  /** Has those before a place on one side, all others on the other. @param {number} at */
  const seek = (at) => {
    for (let half; (half = before.at(-1)) && half.place >= at; ) move(half, before, behind);
    for (let half; (half = behind.at(-1)) && length - half.place < at; ) move(half, behind, before);
  };
  const move = (/** @type {Half} */ half, /** @type {Half[]} */ from, /** @type {Half[]} */ to) => {
    from.pop();
    half.place = length - half.place;
    to.push(half);
    moved++;
  };

  return {
    get moved() {
      return moved;
    },
    /** The one at a place; none: "". @param {number} at */
    at(at) {
      seek(at + 1);
      const half = before.at(-1);
      return half?.place === at ? half.unit : "";
    },
    /** The one that the text ends with; none: "". */
    last() {
      const half = behind[0] ?? before.at(-1);
      return half?.place === (behind.length ? 1 : length - 1) ? half.unit : "";
    },
    /** All of a new text. @param {string} text */
    set(text) {
      [length, before, behind] = [text.length, halvesOf(text, 0), []];
    },
    /**
     * After an edit.
     *
     * @param {number} start
     * @param {number} end
     * @param {string} text
     */
    edit(start, end, text) {
      seek(start);
      for (let half; (half = behind.at(-1)) && length - half.place < end; ) behind.pop();
      for (const half of halvesOf(text, start)) before.push(half);
      length += text.length - (end - start);
    },
  };
}
