// The requests of this isolate whose attempts are under way.
//
// A restarted Gate knows them by its last row's sums alone (crates/limits,
// restart). Its replies say when it started; who sees a new time has all of them
// renewed at once, in a few calls, instead of each in its own half minute.

/** Renewals a call: the Gate handles them in one step, so a bound. */
const PER_CALL = 64;

const running = new Set();

/** An attempt of this walk is under way. */
export function begins(walk) {
  running.add(walk);
}

/** None is any more. */
export function ends(walk) {
  running.delete(walk);
}

/** Whether one is. */
export function runs(walk) {
  return running.has(walk);
}

/** Renews them all; `send(text)` makes one call. */
export async function renewAll(send) {
  const lines = [];
  for (const walk of running) {
    const line = walk.renewal();
    if (line !== "") lines.push(line);
  }
  for (let at = 0; at < lines.length; at += PER_CALL) await send(lines.slice(at, at + PER_CALL).join("\n"));
}
