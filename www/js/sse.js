// Server-sent events, by hand: `EventSource` can neither POST nor send a key.
// (WHATWG HTML §9.2.6, "Interpreting an event stream".)

/** A line longer than this is no event of the Messages API. */
const PENDING_CHARS_MAX = 8 * 1024 * 1024;

/**
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<any>} the events' JSON, as they come
 */
export async function* events(body) {
  const parser = new Parser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      yield* parser.feed(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Pieces of text in, events out; a piece may end anywhere. */
export class Parser {
  #pending = "";
  /** @type {string[]} */
  #data = [];

  /**
   * @param {string} piece
   * @returns {any[]} the JSON of each event that it completes; what is no JSON is left out
   */
  feed(piece) {
    const text = this.#pending + piece;
    if (text.length > PENDING_CHARS_MAX) throw new Error("The stream sends a line that never ends.");
    // A carriage return at the end may be half of a line's end.
    const lines = (text.endsWith("\r") ? text.slice(0, -1) : text).split(/\r\n|\n|\r/);
    this.#pending = (lines.pop() ?? "") + (text.endsWith("\r") ? "\r" : "");
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line */
  #line(line) {
    if (line.startsWith("data:")) this.#data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    if (line !== "" || this.#data.length === 0) return [];
    const data = this.#data.join("\n");
    this.#data = [];
    try {
      return [JSON.parse(data)];
    } catch {
      return [];
    }
  }
}
