// Runs python/sdk_test.py with the Python that scripts/setup installed, each of
// its tests as one here.

import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import assert from "node:assert/strict";
import { open, until } from "./world.mjs";

const DIR = new URL("./python/", import.meta.url).pathname;

/** @type {import("./world.mjs").World} */
let world;
before(async () => {
  world = await open();
});
after(() => world?.close());

test("the Python SDK", async (t) => {
  const env = { ...process.env, GATEWAY: world.gateway.url, KEY: await world.key(), EMULATOR: world.upstream.url };
  const python = `${process.env.PYTHON_ENV}/bin/python`;
  const run = promisify(execFile)(python, ["-m", "unittest", "-v", "sdk_test"], { cwd: DIR, env });
  const { stderr } = await run.catch((error) => error);
  const results = [...stderr.matchAll(/^(test_\w+) \(.*\) \.\.\. (\w+)/gm)];
  for (const [, name, result] of results) {
    await t.test(name.replaceAll("_", " "), () => assert.equal(result, "ok", stderr));
  }
  assert.ok(results.length >= 9, stderr);
});

test("the stream that a Python program left stopped upstream", async () => {
  await until(async () => (await world.stats()).in_flight === 0);
});
