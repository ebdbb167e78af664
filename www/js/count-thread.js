// The page's web worker: counts what is typed and cuts it into tokens, so that the
// page itself only draws. counting.js talks to it.

import { load, models } from "/vendor/tollgate/browser/index.js";
import { Blocks } from "./blocks.js";

/** Claude's vocabulary is not published: what is drawn for it is OpenAI's newest. */
const DRAWN_FOR_CLAUDE = "o200k_base";
/** New blocks that are sent along with their tokens; of more only those are cut that are looked at. */
const CUT_AT_ONCE_MAX = 3;

const blocks = new Blocks();
/** As it came last. @type {string | undefined} */
let image;
/** @type {any} the counter of the vocabulary that is drawn */
let counter;
/** @type {any} */
let document_;

addEventListener("message", async ({ data }) => {
  if (data.kind === "draw") return draw(data.id);
  const { n, choice, calibration, text, request } = data;
  if ("image" in data) image = data.image;
  try {
    const exact = choice.startsWith("claude-") ? undefined : choice;
    if (exact) await vocabulary(exact, n);
    else {
      // A gate may have models that the package does not know.
      const claude = await load("claude-sonnet-5-5", { calibration });
      post({ n, kind: "measure", measure: claude.measure({ ...filled(request, text), model: choice }), models: models() });
      await vocabulary(DRAWN_FOR_CLAUDE, n);
    }
    const tokens = document_.set(text);
    const { at, removed, added } = blocks.set(text);
    const known = added.length <= CUT_AT_ONCE_MAX;
    post({
      n,
      kind: "blocks",
      tokens,
      encoding: counter.encoding,
      at,
      removed: removed + stale,
      added: added.map(({ id, text }) => (known ? { id, units: text.length, cut: cut(text) } : { id, units: text.length })),
    });
    stale = 0;
  } catch (error) {
    post({ n, kind: "failed", ...reason(error) });
  }
  post({ n, kind: "done" });
});

/**
 * 1 MB crosses once, not twice.
 *
 * @param {any} request
 * @param {string} text
 */
function filled(request, text) {
  const message = request.messages.at(-1);
  if (typeof message.content === "string") message.content = text;
  else {
    message.content.at(-1).text = text;
    message.content[0].source.data = image;
  }
  return request;
}

/** Blocks that the page still shows of another vocabulary. */
let stale = 0;

/**
 * @param {string} name
 * @param {number} n
 */
async function vocabulary(name, n) {
  if (counter?.encoding === name) return;
  post({ n, kind: "loading", encoding: name });
  counter = await load(name);
  document_?.close();
  document_ = counter.document();
  stale += blocks.clear();
  texts.clear();
}

/** @param {number} id */
function draw(id) {
  // Gone meanwhile: so is its place on the page.
  const block = blocks.find(id);
  if (block) post({ kind: "cut", id, cut: cut(block.text) });
}

/**
 * A text's tokens: how far each goes, and the ids. Tokens that are parts of one
 * character are one piece.
 *
 * @param {string} text
 */
function cut(text) {
  const ids = counter.encode(text);
  // As it is encoded: half of a surrogate pair counts as U+FFFD, one unit as well.
  const sent = text.toWellFormed();
  const ends = [];
  const tokens = [];
  let at = 0;
  for (let first = 0; first < ids.length; ) {
    let last = first + 1;
    let piece = textOf(ids[first]);
    while (last < ids.length && !whole(piece, sent, at, ids[last])) piece = counter.decode(ids.subarray(first, ++last));
    at = last === ids.length ? text.length : at + piece.length;
    ends.push(at);
    tokens.push(last - first);
    first = last;
  }
  return { text, ids, ends, tokens };
}

/**
 * Whether a piece is what the text has there. U+FFFD may stand for itself or for
 * a part of a character; then what follows tells.
 *
 * @param {string} piece
 * @param {string} text
 * @param {number} at
 * @param {number} next
 */
function whole(piece, text, at, next) {
  if (!text.startsWith(piece, at)) return false;
  return !piece.includes("\ufffd") || text.startsWith(textOf(next), at + piece.length);
}

/** By id, of the vocabulary at hand. @type {Map<number, string>} */
const texts = new Map();

/** @param {number} id */
function textOf(id) {
  let text = texts.get(id);
  if (text === undefined) texts.set(id, (text = counter.decode([id])));
  return /** @type {string} */ (text);
}

/** @param {unknown} error */
function reason(error) {
  const { code = "internal", message = String(error) } = /** @type {any} */ (error);
  return { code, message };
}

/** @param {object} message */
function post(message) {
  /** @type {any} */ (globalThis).postMessage(message);
}
