// What is still to be told to the Gate: settlements, observations, cancels.
//
// They are kept as JSON texts on this side, so that a re-initialised wasm
// module forgets none, ride on the next call of the isolate, and go by
// themselves after RIDE_MS. A call that failed puts its reports back.

/** Longest wait for a call to ride on (design: at most 50 ms). */
const RIDE_MS = 50;
/** Reports a call: the Gate handles them in one step, so a bound. */
const PER_CALL = 64;
/** Bound on what an unreachable Gate makes an isolate hold; the oldest go first, and their tickets expire as spent. */
const KEPT = 20_000;
/** A flush that another request armed is trusted this long: its request may have been ended. */
const ARMED_MS = 1_000;
/** A watch wakes this long after its lease's end, and serves the leases until then. */
const WATCH_MS = 500;

let waiting = [];
let armedUntil = 0;
let watchedUntil = 0;

/** Keeps a report. */
export function report(text) {
  if (waiting.length >= KEPT) waiting.shift();
  waiting.push(text);
}

/** Takes the reports that ride on one call. */
export function take() {
  return waiting.splice(0, PER_CALL);
}

/** Puts back what a failed call carried. */
export function putBack(reports) {
  if (reports.length > 0) waiting = reports.concat(waiting).slice(-KEPT);
}

/**
 * Sees to it that what waits goes soon; returns what is left to do, if anything.
 * `gather()` may report more; `send(reports)` makes one Gate call.
 */
export function flushSoon(gather, send) {
  const now = Date.now();
  if (waiting.length === 0 || now < armedUntil) return undefined;
  armedUntil = now + ARMED_MS;
  return flush(gather, send);
}

async function flush(gather, send) {
  await sleep(RIDE_MS);
  armedUntil = 0;
  gather();
  await sendAll(send);
}

/**
 * Sees to it that what a lease leaves is told when it is over, also where the
 * isolate has fallen idle by then. `until` is its end, 0 for none. Returns what
 * is left to do, if anything: one watch for all leases that end until it wakes.
 */
export function watch(until, gather, send) {
  if (until <= watchedUntil) return undefined;
  watchedUntil = until + WATCH_MS;
  return wake(watchedUntil, gather, send);
}

async function wake(at, gather, send) {
  await sleep(at - Date.now());
  gather();
  await sendAll(send);
}

/** Waits before the next try at a Gate that did not answer, within the 30 s that `waitUntil` gives. */
const RETRY_MS = [1_000, 2_000, 4_000, 8_000];

async function sendAll(send) {
  for (let tries = 0; waiting.length > 0; ) {
    if (await send(take())) continue;
    if (tries === RETRY_MS.length) return;
    await sleep(RETRY_MS[tries++]);
  }
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
