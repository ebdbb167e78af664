// Request bodies: read whole, bounded one by one and together.
import { Unread } from "./core.mjs";

/** What the scanner sees at a time: bodies are never copied whole into wasm memory, which does not shrink. */
export const WINDOW_BYTES = 64 * 1024;
/** Bodies and answers held by one isolate at most; it has 128 MB for everything (design §1, memory). */
export const HELD_BYTES_MAX = 48 * 1024 * 1024;

let held = 0;

/** Counts bytes in (positive) or out (negative). */
export function heldBytes(change) {
  held += change;
  return held;
}

/** The body as an ArrayBuffer, or why not (`Unread`). */
export async function readBody(request, bytesMax) {
  const said = Number(request.headers.get("content-length") ?? "NaN");
  if (said > bytesMax) return Unread.TooLarge;
  if (said >= 0) {
    if (held + said > HELD_BYTES_MAX) return Unread.NoRoom;
    // Counted while it arrives, too: a hundred slow uploads are a hundred bodies.
    held += said;
    try {
      const body = await request.arrayBuffer();
      return body.byteLength > bytesMax ? Unread.TooLarge : body;
    } catch {
      return Unread.Broken;
    } finally {
      held -= said;
    }
  }
  return request.body === null ? new ArrayBuffer(0) : readChunked(request.body, bytesMax);
}

/**
 * A body that does not say its length is counted as it comes. One that is not
 * kept is read on to the same bound and thrown away: a client that still writes
 * when its connection closes never sees the answer.
 */
async function readChunked(stream, bytesMax) {
  const chunks = [];
  let total = 0;
  let kept = 0;
  let why;
  const reader = stream.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      total += value.byteLength;
      if (why === undefined) {
        chunks.push(value);
        kept += value.byteLength;
        held += value.byteLength;
        if (total > bytesMax) why = Unread.TooLarge;
        else if (held > HELD_BYTES_MAX) why = Unread.NoRoom;
        if (why === undefined) continue;
        chunks.length = 0;
        held -= kept;
        kept = 0;
      } else if (total > 2 * bytesMax) {
        reader.cancel().catch(() => {});
        break;
      }
    }
  } catch {
    return why ?? Unread.Broken;
  } finally {
    held -= kept;
  }
  if (why !== undefined) return why;
  const body = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return body.buffer;
}
