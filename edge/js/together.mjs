// Admits of one isolate that travel together.
//
// A call to the Gate costs more than all else that admits a request. So while
// CALLS_MAX calls of this isolate are under way, further admits wait, and one of
// the waiting sends them all as lines of one message. Alone, a request is sent
// at once. Requests share no I/O here, only a promise of plain text: the
// runtime resumes each in its own context (compatibility flag
// handle_cross_request_promise_resolution, on by default since 2024-10-14).
// A sender that is ended in between leaves the others to their own time-out.

/** The Gate answers at once or not at all: invariant 11. A Relay, too. */
export const GATE_MS = 2_000;
/** Calls under way at once: two, so that one is on its way while one comes back. */
const CALLS_MAX = 2;
/** Lines a call: the Gate handles them in one step, so a bound. */
const LINES_MAX = 64;

let calls = [];
let waiting = [];

/** The Gate's reply to `message`; `send(text)` makes one call. */
export async function together(message, send) {
  let others = [];
  if (underWay() >= CALLS_MAX) {
    // Who waited longer than the Gate may take has given up.
    const until = Date.now() + GATE_MS;
    // Not `new Promise`: compiled inline it belongs to no request (V8 as workerd
    // 1.20261117 patches it), and who resolves it would run our request as its own.
    const { promise, resolve } = Promise.withResolvers();
    waiting.push({ message, until, resolve });
    const turn = await promise;
    if (turn.failed !== undefined) throw turn.failed;
    if (turn.reply !== undefined) return turn.reply;
    others = turn.others;
  }
  // One that is under way longer has lost its request.
  const call = { until: Date.now() + GATE_MS };
  calls.push(call);
  try {
    if (others.length === 0) return await send(message);
    let text = message;
    for (const other of others) text += "\n" + other.message;
    const replies = (await send(text)).split("\n");
    for (let i = 0; i < others.length; i++) others[i].resolve({ reply: replies[i + 1] });
    return replies[0];
  } catch (failed) {
    for (const other of others) other.resolve({ failed });
    throw failed;
  } finally {
    calls = calls.filter((one) => one !== call);
    next();
  }
}

function underWay() {
  if (calls.length < CALLS_MAX) return calls.length;
  const now = Date.now();
  calls = calls.filter((call) => call.until > now);
  return calls.length;
}

/** The first of those that still wait sends them all. */
function next() {
  if (waiting.length === 0) return;
  const now = Date.now();
  const [first, ...others] = waiting.splice(0, LINES_MAX).filter((one) => one.until > now);
  if (first === undefined) next();
  else first.resolve({ others });
}
