// Tabs of one origin as one caller: what one learned or sent, all know, and one of
// them decides for all, so that two never take the same last place.
//
// The decider holds a Web Lock as long as it lives; when its tab closes the next
// one gets the lock and goes on with its own copy, which every message kept up to
// date. A decider that hangs is not waited for.

/** @typedef {import("./ledger.js").Ledger} Ledger */

/** A message crosses in about a millisecond, and a gate is given so long: a tab that takes longer hangs. */
const ANSWER_MS = 2_000;

/**
 * @typedef {object} Tabs
 * @property {Promise<void>} joined once this tab knows what the others do
 * @property {(what: object) => Promise<any>} ask the decider's answer; undefined: decide here
 * @property {(news: object) => void} tell all other tabs
 * @property {<T>(act: () => Promise<T>) => Promise<T>} oneAtATime among all tabs
 * @property {() => void} close
 *
 * @typedef {object} Member what a tab has
 * @property {(what: any) => object} decide
 * @property {(news: any) => void} hear
 * @property {() => object} all that is known, for a tab that joins
 */

/** No tabs but this one. @type {Tabs} */
export const ALONE = { joined: Promise.resolve(), ask: async () => undefined, tell: () => {}, oneAtATime: (act) => act(), close: () => {} };

/**
 * Joins the tabs of this name, where the platform can.
 *
 * @param {string} name
 * @param {Member} member
 * @returns {Tabs}
 */
export function join(name, member) {
  // Node has channels, too, but no origin whose tabs there could be.
  const can = typeof BroadcastChannel === "function" && typeof location === "object" && typeof navigator === "object" && navigator.locks;
  if (!can) return ALONE;
  const { locks } = navigator;
  const channel = new BroadcastChannel(name);
  const me = crypto.randomUUID();
  /** @type {Map<number, (answer: any) => void>} */
  const waiting = new Map();
  let asked = 0;
  let decides = false;
  /** @type {(value?: unknown) => void} */
  let leave = () => {};
  const end = new AbortController();
  /** @type {() => void} */
  let welcomed = () => {};
  const joined = new Promise((/** @type {(value: void) => void} */ resolve) => (welcomed = resolve));
  const alone = setTimeout(welcomed, ANSWER_MS);
  void joined.then(() => clearTimeout(alone));

  const post = (/** @type {object} */ message) => {
    // Closed: whatever is still to be told is nobody's business any more.
    if (!end.signal.aborted) channel.postMessage(message);
  };
  channel.addEventListener("message", ({ data }) => {
    if (data.kind === "ask" && decides) post({ kind: "answer", to: data.from, n: data.n, answer: member.decide(data.what) });
    else if (data.kind === "answer" && data.to === me) waiting.get(data.n)?.(data.answer);
    else if (data.kind === "hello" && decides) post({ kind: "welcome", to: data.from, news: member.all() });
    else if (data.kind === "news") member.hear(data.news);
    else if (data.kind === "welcome" && data.to === me) {
      member.hear(data.news);
      welcomed();
    }
  });
  locks
    .request(`${name}:decides`, { signal: end.signal }, () => {
      decides = true;
      // Whoever joined while nobody decided was not answered.
      post({ kind: "news", news: member.all() });
      welcomed();
      return new Promise((resolve) => (leave = resolve));
    })
    .catch(() => {
      // Left before it was its turn.
    });
  post({ kind: "hello", from: me });

  return {
    joined,
    ask(what) {
      if (decides) return Promise.resolve(undefined);
      const n = asked++;
      return new Promise((resolve) => {
        const done = (/** @type {any} */ answer) => {
          clearTimeout(timer);
          waiting.delete(n);
          resolve(answer);
        };
        const timer = setTimeout(done, ANSWER_MS);
        waiting.set(n, done);
        post({ kind: "ask", from: me, n, what });
      });
    },
    tell: (news) => post({ kind: "news", news }),
    oneAtATime(act) {
      const wait = AbortSignal.timeout(ANSWER_MS);
      let begun = false;
      const once = () => {
        begun = true;
        return act();
      };
      return /** @type {any} */ (locks.request(`${name}:asks`, { signal: wait }, once)).catch((/** @type {unknown} */ error) => {
        if (begun) throw error;
        return once();
      });
    },
    close() {
      leave();
      end.abort();
      channel.close();
    },
  };
}
