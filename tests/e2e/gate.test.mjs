// The Gate cannot be reached, or is overloaded (invariant 11): limits refuse or
// admit as their `fail` says, nothing hangs, nothing is retried at once.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { sign } from "./sign.mjs";
import { ask, open, until } from "./world.mjs";

const RELEASE = new URL("../../dist/edge", import.meta.url).pathname;

/** The bundle as it is, with another Gate in place of the real one. */
const ENTRY = `
import { DurableObject } from "cloudflare:workers";
export { default } from "./bundle.js";
export class Gate extends DurableObject {
  fails(name) {
    console.log("gate call " + name);
    if (this.env.TEST_GATE === "hangs") return new Promise(() => {});
    throw Object.assign(new Error("Durable Object is overloaded. Requests queued for too long."), { overloaded: true });
  }
  admit() { return this.fails("admit"); }
  poll() { return this.fails("admit"); }
  view() { return this.fails("view"); }
  admin() { return this.fails("admin"); }
}
`;

/** @type {string} */
let bundle;
before(() => {
  bundle = mkdtempSync(path.join(tmpdir(), "tollgate-gate-"));
  cpSync(RELEASE, bundle, { recursive: true });
  renameSync(path.join(bundle, "entry.js"), path.join(bundle, "bundle.js"));
  writeFileSync(path.join(bundle, "entry.js"), ENTRY);
});
after(() => rmSync(bundle, { recursive: true, force: true }));

for (const mode of ["hangs", "is overloaded"]) {
  for (const fail of ["closed", "open"]) {
    test(`the Gate ${mode} and the account fails ${fail}`, async () => {
      const world = await open({ bundle, account: { fail }, vars: { TEST_GATE: mode }, tenants: null });
      try {
        const key = sign(world.secret, "tg_sk_", { tenant: "acme" });
        const response = await world.post(key, ask("Hello"));
        const text = await response.text();
        if (fail === "open") {
          assert.equal(response.status, 200, text);
          assert.equal((await world.stats()).granted, 1);
        } else {
          assert.equal(response.status, 503, text);
          const { error } = JSON.parse(text);
          assert.notEqual(error.type, "overloaded_error", "never pretends to be an overload of the provider");
          assert.match(error.details.error_code, /^tollgate_/);
          assert.ok(Number(response.headers.get("retry-after")) > 0);
          assert.equal((await world.stats()).granted ?? 0, 0);
        }
        // Its answer comes after whatever an instant retry would have logged.
        const ready = await fetch(`${world.gateway.url}/readyz`);
        assert.equal(ready.status, 503);
        const calls = () => world.gateway.logs().filter((line) => line.includes("gate call")).length;
        await until(async () => calls() >= 2);
        if (fail === "closed") assert.equal(calls(), 2, "asked once by the request, once by /readyz, and not again at once");
        assert.equal((await fetch(`${world.gateway.url}/healthz`)).status, 200);
      } finally {
        await world.close();
      }
    });
  }
}
