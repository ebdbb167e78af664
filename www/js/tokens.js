// The prompt's tokens in colours. The pane has a box for each block of text; only
// boxes that are looked at hold their tokens, so 1 MB costs what a page costs.

import { make, the } from "./page.js";

/**
 * @typedef {import("./counting.js").Cut} Cut
 * @typedef {{id: number, units: number, box: HTMLElement, drawn: boolean}} Block
 */

/** Neighbours differ, and nothing else is meant by them. */
const COLOURS = 5;
/** Pixels around what is seen that are drawn, too: scrolling finds them there. */
const AHEAD = "300px";
/** The pane's line-height in style.css. */
const LINE_PX = 26;
/** Of prose in the pane at its widest: the height of a block that was never drawn is a guess by it, so that the scroll bar hardly jumps. */
const UNITS_A_LINE = 70;

export class Tokens {
  #pane = the("tokens");
  /** @type {Block[]} */
  #blocks = [];
  /** Whose box it is. @type {WeakMap<Element, Block>} */
  #of = new WeakMap();
  #watch;

  /** @param {(id: number) => void} want asks for a block's tokens, which come by `cut` */
  constructor(want) {
    this.#watch = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting, boundingClientRect } of entries) {
          const block = this.#of.get(target);
          if (!block) continue;
          if (isIntersecting && !block.drawn) want(block.id);
          if (!isIntersecting && block.drawn) this.#empty(block, boundingClientRect.height);
        }
      },
      { root: this.#pane, rootMargin: AHEAD },
    );
  }

  /** @param {{at: number, removed: number, added: import("./counting.js").NewBlock[]}} change */
  change({ at, removed, added }) {
    const fresh = added.map(({ id, units, cut }) => {
      const block = { id, units, box: make("div", undefined, "block"), drawn: false };
      this.#of.set(block.box, block);
      if (cut) this.#fill(block, cut);
      else this.#empty(block, Math.ceil(units / UNITS_A_LINE) * LINE_PX);
      return block;
    });
    for (const { box } of this.#blocks.splice(at, removed, ...fresh)) {
      this.#watch.unobserve(box);
      this.#of.delete(box);
      box.remove();
    }
    const next = this.#blocks[at + fresh.length]?.box ?? null;
    for (const { box } of fresh) {
      this.#pane.insertBefore(box, next);
      this.#watch.observe(box);
    }
  }

  /**
   * @param {number} id
   * @param {Cut} cut
   */
  cut(id, cut) {
    const block = this.#blocks.find((block) => block.id === id);
    if (block) this.#fill(block, cut);
  }

  /**
   * Brings what is written into view.
   *
   * @param {number} place in the text
   */
  follow(place) {
    let rest = place;
    for (const { units, box } of this.#blocks) {
      if (rest > units) {
        rest -= units;
        continue;
      }
      let mark = /** @type {Element} */ (box);
      for (const token of box.children) {
        mark = token;
        rest -= Number(/** @type {HTMLElement} */ (token).dataset.units);
        if (rest <= 0) break;
      }
      const pane = this.#pane.getBoundingClientRect();
      const { top, bottom } = mark.getBoundingClientRect();
      // Not scrollIntoView, which would move the page as well.
      if (bottom > pane.bottom) this.#pane.scrollTop += bottom - pane.bottom + LINE_PX;
      else if (top < pane.top) this.#pane.scrollTop -= pane.top - top + LINE_PX;
      return;
    }
  }

  /**
   * @param {Block} block
   * @param {Cut} cut
   */
  #fill(block, { text, ids, ends, tokens }) {
    let start = 0;
    let first = 0;
    const spans = ends.map((end, i) => {
      const span = make("span", undefined, `t${i % COLOURS}`);
      span.append(...shown(text.slice(start, end)));
      span.dataset.units = String(end - start);
      const numbers = [...ids.subarray(first, first + tokens[i])];
      span.title = numbers.length === 1 ? `token ${numbers[0]}` : `${numbers.length} tokens: ${numbers.join(", ")}`;
      if (numbers.length > 1) span.classList.add("several");
      start = end;
      first += tokens[i];
      return span;
    });
    block.box.replaceChildren(...spans);
    block.box.style.removeProperty("height");
    block.drawn = true;
  }

  /**
   * @param {Block} block
   * @param {number} height
   */
  #empty(block, height) {
    block.box.replaceChildren();
    block.box.style.setProperty("height", `${height}px`);
    block.drawn = false;
  }
}

/**
 * A token's text; what has no shape of its own gets a mark beside it.
 *
 * @param {string} text
 */
function shown(text) {
  return text.split(/(\n)/).filter(Boolean).flatMap((part) => (part === "\n" ? [make("i"), "\n"] : [part]));
}
