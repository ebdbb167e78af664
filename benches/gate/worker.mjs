// The release bundle with one more route, which presses the Gate: one request
// makes many admits by the same call that the Worker makes, one after the
// other, each with the settlement of the one before riding on it. Nothing else
// of a request is here, so that the Gate is what is measured.
//
// "edge" is dist/edge: admits.mjs bundles the two.
import edge, { Gate } from "edge";

export { Gate };

export default {
  /**
   * @param {any} request
   * @param {any} env
   * @param {any} ctx
   */
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== "/bench/admits") return edge.fetch(request, env, ctx);
    const { calls, admit, settle } = await request.json();
    const gate = env.GATE.getByName("gate");
    const run = crypto.randomUUID();
    let granted = 0;
    /** @type {object[]} */
    let events = [];
    for (let call = 0; call < calls; call++) {
      const [ticket, now] = [`${run}-${call}`, Date.now()];
      const message = { v: 1, admit: { ...admit, ticket, asked_ms: now }, events };
      const reply = JSON.parse(await gate.admit(JSON.stringify(message)));
      if (!reply.decision?.granted) return Response.json(reply, { status: 500 });
      granted += 1;
      events = [{ settled: { ...settle, ticket, at_ms: now } }];
    }
    await gate.admit(JSON.stringify({ v: 1, events }));
    return Response.json({ granted });
  },
};
