// What an answer used, read as it passes: the client gets every byte as it came,
// at its own pace, and a mistake in here never reaches it.

/**
 * @typedef {object} Used
 * @property {number} input that counts towards rate limits: Anthropic's without cache reads, OpenAI's with them
 * @property {number} cacheWritten the part of it that was written to the cache
 * @property {number} cacheRead beside `input`
 * @property {number} output
 * @property {boolean} reported whether the provider said so; else the output is guessed by what was streamed
 */

/** An answer in one piece is read up to this; a longer one is left unsettled. */
const JSON_CHARS_MAX = 4 << 20;
/** A line of a stream; a longer one is passed over. */
const LINE_CHARS_MAX = 1 << 20;
/** Characters of streamed JSON a token, at least: for a stream that broke off. */
const CHARS_A_TOKEN = 3;

/**
 * The same response, its usage told once its body is over or was given up.
 *
 * @param {Response} response
 * @param {(used: Used | null) => void} tell null: nothing was learned
 * @returns {Response}
 */
export function watched(response, tell) {
  const type = response.headers.get("content-type") ?? "";
  const meter = type.includes("text/event-stream") ? streamMeter() : type.includes("json") ? jsonMeter() : null;
  if (!response.body || !meter) {
    tell(null);
    return response;
  }
  let told = false;
  const finish = () => {
    if (told) return;
    told = true;
    tell(attempt(() => meter.used()) ?? null);
  };
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  const body = new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            finish();
            controller.close();
            return;
          }
          attempt(() => meter.feed(decoder.decode(value, { stream: true })));
          controller.enqueue(value);
        } catch (error) {
          finish();
          controller.error(error);
        }
      },
      cancel(reason) {
        finish();
        return reader.cancel(reason);
      },
    },
    // Nothing is read ahead of the client.
    { highWaterMark: 0 },
  );
  const copy = new Response(body, response);
  // The constructor cannot set these.
  for (const name of /** @type {const} */ (["url", "redirected", "type"])) Object.defineProperty(copy, name, { value: response[name] });
  return copy;
}

function jsonMeter() {
  let text = "";
  return {
    feed(/** @type {string} */ chunk) {
      if (text.length <= JSON_CHARS_MAX) text += chunk;
    },
    used: () => (text.length <= JSON_CHARS_MAX ? usedOf(JSON.parse(text)) : null),
  };
}

function streamMeter() {
  let rest = "";
  let chars = 0;
  let used = /** @type {Used | null} */ (null);
  const line = (/** @type {string} */ text) => {
    if (!text.startsWith("data:")) return;
    chars += text.length;
    if (!text.includes('"usage"') || text.length > LINE_CHARS_MAX) return;
    const event = JSON.parse(text.slice(5));
    const told = usedOf(event.message ?? event.response ?? event);
    if (!told) return;
    // Totals, of which a later event leaves out what did not change.
    const last = event.type !== "message_start";
    used = { input: told.input || used?.input || 0, cacheWritten: told.cacheWritten || used?.cacheWritten || 0, cacheRead: told.cacheRead || used?.cacheRead || 0, output: told.output, reported: last };
  };
  return {
    feed(/** @type {string} */ chunk) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LINE_CHARS_MAX) rest = "data:";
      for (const text of lines) attempt(() => line(text));
    },
    used() {
      attempt(() => line(rest));
      if (!used) return null;
      return used.reported ? used : { ...used, output: Math.max(used.output, Math.ceil(chars / CHARS_A_TOKEN)) };
    },
  };
}

/**
 * @param {any} body with `usage`, of either API
 * @returns {Used | null}
 */
function usedOf(body) {
  const usage = body?.usage;
  if (typeof usage !== "object" || usage === null) return null;
  const count = (/** @type {unknown} */ tokens) => (typeof tokens === "number" && tokens >= 0 ? tokens : 0);
  if (usage.prompt_tokens !== undefined) {
    // What was read from the cache is within these, and counts towards its limits.
    return { input: count(usage.prompt_tokens), cacheWritten: 0, cacheRead: 0, output: count(usage.completion_tokens), reported: true };
  }
  const cacheWritten = count(usage.cache_creation_input_tokens);
  return { input: count(usage.input_tokens) + cacheWritten, cacheWritten, cacheRead: count(usage.cache_read_input_tokens), output: count(usage.output_tokens), reported: true };
}

/**
 * @template T
 * @param {() => T} act
 * @returns {T | undefined}
 */
function attempt(act) {
  try {
    return act();
  } catch {
    return undefined;
  }
}
