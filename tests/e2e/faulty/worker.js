// The release bundle, and between it and its objects a network that loses calls, loses
// their answers and brings calls twice, in turn. What is lost fails as workerd says
// that an object or a connection failed.
//
// "edge" is dist/edge: tests/serve/bundle.mjs bundles the two.
import edge from "edge";

export { Gate, Relay } from "edge";

/** Of so many calls one is lost, the answer of one is, and one comes twice. */
const PERIOD = 7;
let calls = 0;
/** The same message is lost once: what is lost again and again is an outage. */
const lost = new Set();

const broken = () => Object.assign(new Error("Network connection lost."), { retryable: true, remote: true });

function faultyGate(stub) {
  const fail = (text) => {
    lost.add(text);
    throw broken();
  };
  const call = (name) => async (text) => {
    const fate = lost.has(text) ? 0 : calls++ % PERIOD;
    if (fate === 2) fail(text);
    const reply = stub[name](text);
    if (fate === 6) return (await Promise.all([reply, stub[name](text)]))[1];
    if (fate !== 4) return reply;
    reply.catch(() => {});
    return fail(text);
  };
  const whole = (name) => (text) => stub[name](text);
  return { admit: call("admit"), poll: call("poll"), view: call("view"), job: whole("job"), admin: whole("admin") };
}

/** Each call of a Relay goes at its third try: the first is lost, of the second the answer is. */
const RELAY_TRIES = 3;
let relayCalls = 0;

function faultyRelay(stub) {
  const call = (name) => async (...args) => {
    const fate = relayCalls++ % RELAY_TRIES;
    if (fate === 0) throw broken();
    const reply = await stub[name](...args);
    if (fate === 1) throw broken();
    return reply;
  };
  return { claim: call("claim"), keep: call("keep") };
}

/** A namespace whose objects are reached by `wrap`. */
const through = (namespace, wrap) => ({
  idFromName: (name) => namespace.idFromName(name),
  get: (id, options) => wrap(namespace.get(id, options)),
});

export default {
  fetch(request, env, ctx) {
    const [GATE, RELAY] = [through(env.GATE, faultyGate), through(env.RELAY, faultyRelay)];
    return edge.fetch(request, { ...env, GATE, RELAY }, ctx);
  },
};
