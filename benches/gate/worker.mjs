// The release bundle with one more route, which presses the Gate: one request
// makes many admits by the same call that the Worker makes, one after the
// other, each with the settlement of the one before riding on it. Nothing else
// of a request is here, so that the Gate is what is measured.
//
// `?object=EMPTY` makes the same calls, with the same texts both ways, of an object
// that does nothing: what a call costs without what the Gate does in it.
//
// "edge" is dist/edge: tests/serve/bundle.mjs bundles the two.
import { DurableObject } from "cloudflare:workers";
import edge, { Gate, Relay } from "edge";

export { Gate, Relay };

/** What the Gate answers to an admit whose tenant's policy the isolate holds. */
const GRANTED = JSON.stringify({ v: 1, decision: { granted: { waited_ms: 0 } } });

export class Empty extends DurableObject {
  /** @param {string} _text */
  admit(_text) {
    return GRANTED;
  }
}

export default {
  /**
   * @param {any} request
   * @param {any} env
   * @param {any} ctx
   */
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/bench/admits") return edge.fetch(request, env, ctx);
    const { calls, admit, settle } = await request.json();
    const gate = env[searchParams.get("object") ?? "GATE"].getByName("gate");
    const run = crypto.randomUUID();
    let granted = 0;
    /** @type {number | undefined} */
    let policy_version;
    /** @type {object[]} */
    let events = [];
    for (let call = 0; call < calls; call++) {
      const [ticket, now] = [`${run}-${call}`, Date.now()];
      const message = { v: 1, admit: { ...admit, ticket, asked_ms: now }, policy_version, events };
      const reply = JSON.parse(await gate.admit(JSON.stringify(message)));
      if (!reply.decision?.granted) return Response.json(reply, { status: 500 });
      granted += 1;
      // As an isolate does: it is told the tenant's policy once.
      policy_version = reply.policy?.version ?? policy_version;
      events = [{ settled: { ...settle, ticket, at_ms: now } }];
    }
    await gate.admit(JSON.stringify({ v: 1, events }));
    return Response.json({ granted });
  },
};
