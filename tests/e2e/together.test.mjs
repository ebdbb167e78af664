// Admits that travel together wake each request in its own context, also once
// the engine has compiled the function that waits: workerd's V8 (1.20261117)
// forgets whose promise an inlined `new Promise` made, and what waits for it
// then runs in the request that resolves it, where its I/O is refused.

import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { startWorkerd } from "../serve/program.mjs";

const REQUESTS = 3_000;
/** Far above the calls that go alone, so that nearly every request waits for another's. */
const AT_ONCE = 64;

/** `aborted` throws in the context of another request. */
const MAIN = `
import { together } from "./together.mjs";

const call = (text) => new Promise((resolve) => setTimeout(() => resolve(text), 1));
let requests = 0;
%PrepareFunctionForOptimization(together);

export default {
  async fetch(request) {
    if (++requests === ${REQUESTS / 3}) %OptimizeFunctionOnNextCall(together);
    const mine = AbortSignal.abort();
    // As in the Worker: a request without I/O of its own counts as hung.
    const late = setTimeout(() => {}, 10_000);
    const text = await together(new URL(request.url).pathname, call);
    clearTimeout(late);
    return new Response(String(mine.aborted && text));
  },
};`;

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  v8Flags = ["--allow-natives-syntax"],
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const main :Workerd.Worker = (
  modules = [
    (name = "main.mjs", esModule = embed "main.mjs"),
    (name = "together.mjs", esModule = embed "together.mjs"),
  ],
  compatibilityDate = "2026-11-17",
);`;

/** @type {string} */
let dir;
/** @type {Awaited<ReturnType<typeof startWorkerd>>} */
let workerd;

before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "tollgate-together-"));
  await cp(new URL("../../edge/js/together.mjs", import.meta.url), path.join(dir, "together.mjs"));
  await writeFile(path.join(dir, "main.mjs"), MAIN);
  await writeFile(path.join(dir, "workerd.capnp"), CONFIG);
  workerd = await startWorkerd(path.join(dir, "workerd.capnp"));
});
after(async () => {
  await workerd?.stop();
  await rm(dir, { recursive: true, force: true });
});

test("each of many requests gets its own reply in its own context", async () => {
  let next = 0;
  /** @type {string[]} */
  const failed = [];
  const client = async () => {
    while (next < REQUESTS) {
      const path = `/${next++}`;
      const response = await fetch(workerd.url + path);
      const text = await response.text();
      if (response.status !== 200 || text !== path) failed.push(`${path}: ${response.status} ${text.slice(0, 80)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  assert.deepEqual(failed.slice(0, 3), []);
});
