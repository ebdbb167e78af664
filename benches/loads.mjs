// The loads that are pressed on each contestant.

import { writeFile } from "node:fs/promises";
import path from "node:path";

/** Events of a long stream. */
export const CHUNKS = 2_000;

/**
 * @param {string} dir where the bodies are written
 * @param {number} seconds a slice
 */
export async function loadsOf(dir, seconds) {
  const content =
    "You are given the notes of a meeting. Write three sentences for those who were not there: what was decided, " +
    "who does what until when, and what stayed open. Notes: the import of last week's files failed twice because of " +
    "a full disk; Ada has freed space and will add an alarm at 80 % until Friday. The new price list is accepted. " +
    "Whether the old one stays valid for orders from before the first of the month was not settled; Ben asks sales.";
  const file = async (/** @type {string} */ name, /** @type {object} */ more) => {
    const body = { model: "claude-sonnet-5-5", messages: [{ role: "user", content }], ...more };
    await writeFile(path.join(dir, name), JSON.stringify(body));
    return path.join(dir, name);
  };
  const whole = await file("whole.json", { max_tokens: 256 });
  const stream = await file("stream.json", { max_tokens: 20, stream: true });
  // The upstream sends as many events as max_tokens says. Paced, each is a
  // chunk of its own; in a burst several are read at once.
  const burst = await file("burst.json", { max_tokens: CHUNKS, stream: true });
  const long = await file("long.json", { max_tokens: CHUNKS, stream: true, metadata: { user_id: "gap_us=1000" } });
  return {
    c1: { body: whole, connections: 1, seconds },
    c32: { body: whole, connections: 32, seconds },
    stream: { body: stream, connections: 16, seconds, stream: true },
    burst: { body: burst, connections: 4, requests: 16, stream: true },
    long: { body: long, connections: 4, requests: 8, stream: true },
  };
}
