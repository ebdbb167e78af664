// The commands: make serve and make dev start, refuse and end as they should;
// settings that are wrong are told before and after a deploy.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { serve, splitLines } from "../serve/serve.mjs";
import { ask, open, until } from "./world.mjs";

const ROOT = new URL("../..", import.meta.url).pathname;
const SECRET = "a secret for tests that is long enough";
const scratch = mkdtempSync(path.join(tmpdir(), "tollgate-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

/**
 * @param {string} name
 * @param {string} text
 */
function file(name, text) {
  const at = path.join(scratch, name);
  writeFileSync(at, text);
  return at;
}

const CONFIG = file("config.toml", '[vars.TOLLGATE_ACCOUNTS.anthropic]\nprovider = "anthropic"\nsecret = "ANTHROPIC_API_KEY"\n');
const TENANTS = file("tenants.toml", "[tenants.acme]\nweight = 2\n");

/**
 * Runs make in a session of its own, so that what it leaves behind can be seen.
 *
 * @param {string[]} args
 */
function make(args) {
  const child = spawn("make", args, {
    cwd: ROOT,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TOLLGATE_SECRET: SECRET, ANTHROPIC_API_KEY: "sk-ant-emulator" },
  });
  /** @type {string[]} */
  const lines = [];
  splitLines(child.stdout, (line) => lines.push(line));
  splitLines(child.stderr, (line) => lines.push(line));
  const exit = new Promise((/** @type {(code: number | null) => void} */ resolve) => child.once("exit", resolve));
  return {
    child,
    lines,
    exit,
    ready: () =>
      until(async () => {
        if (child.exitCode !== null) throw new Error(lines.join("\n"));
        return lines.find((line) => line.startsWith("ready "))?.slice("ready ".length);
      }),
    /** How many processes of its group are alive. */
    alive: () => members(/** @type {number} */ (child.pid)).length,
  };
}

/**
 * @param {number} group
 * @returns {string[]} the pids of a process group, zombies apart
 */
function members(group) {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
      return Number(fields[2]) === group && fields[0] !== "Z";
    } catch {
      return false;
    }
  });
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { port, server };
}

for (const [name, args] of /** @type {const} */ ([
  ["make serve", ["serve", `CONFIG=${CONFIG}`, `TENANTS=${TENANTS}`]],
  ["make dev", ["dev"]],
])) {
  test(`${name} prints ready, and SIGTERM to make ends all children within 2 s`, async () => {
    const { port, server } = await freePort();
    await new Promise((resolve) => server.close(resolve));
    const run = make([...args, `PORT=${port}`]);
    try {
      assert.equal(await run.ready(), `http://127.0.0.1:${port}`);
      assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
      assert.ok(run.alive() >= 2);
      const told = Date.now();
      run.child.kill("SIGTERM");
      await run.exit;
      await until(async () => run.alive() === 0);
      assert.ok(Date.now() - told < 2000, `${Date.now() - told} ms`);
      await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`));
    } finally {
      if (run.alive()) process.kill(-(/** @type {number} */ (run.child.pid)), "SIGKILL");
    }
  });
}

test("the curl line of make dev works as pasted", async () => {
  const { port, server } = await freePort();
  await new Promise((resolve) => server.close(resolve));
  const run = make(["dev", `PORT=${port}`]);
  try {
    await run.ready();
    const line = run.lines.find((line) => line.trim().startsWith("curl "));
    const { stdout } = await promisify(execFile)("bash", ["-c", line ?? "false"]);
    assert.equal(JSON.parse(stdout).type, "message", stdout);
    const page = run.lines.find((line) => line.includes("page"))?.trim().split(/\s+/).at(-1) ?? "";
    assert.match(await (await fetch(page)).text(), /<title>Tollgate/);
  } finally {
    run.child.kill("SIGTERM");
    await run.exit;
  }
});

test("a taken port is an error with a sentence", async () => {
  const { port, server } = await freePort();
  const run = make(["serve", `CONFIG=${CONFIG}`, `TENANTS=${TENANTS}`, `PORT=${port}`]);
  assert.notEqual(await run.exit, 0);
  assert.match(run.lines.join("\n"), new RegExp(`port ${port} cannot be used`));
  await new Promise((resolve) => server.close(resolve));
});

test("state outlives the server where STATE names a directory, and is fresh without", async () => {
  const state = path.join(scratch, "state");
  const first = await open({ state });
  const key = await first.key();
  await (await first.post(key, ask("Hello"))).text();
  await first.restart();
  assert.equal((await first.post(key, ask("Hello again"))).status, 200, "the key lives on");
  await first.close();
  const fresh = await open();
  assert.equal((await fresh.post(key, ask("Hello"))).status, 401);
  await fresh.close();
});

for (const [name, vars, says] of /** @type {const} */ ([
  ["an unknown setting", { TOLLGATE_GATE: { speling: 1 } }, /TOLLGATE_GATE\.speling/],
  ["an unknown account setting", { TOLLGATE_ACCOUNTS: { anthropic: { provider: "anthropic", secret: "ANTHROPIC_API_KEY", tear: "start" } } }, /TOLLGATE_ACCOUNTS\.anthropic\.tear|tear/],
  ["a setting of a wrong type", { TOLLGATE_CACHE: { enabled: "yes" } }, /TOLLGATE_CACHE\.enabled/],
])) {
  test(`${name} is refused by path: by make check, and by the Worker`, async () => {
    const { stringify } = await import("smol-toml");
    const toml = readFileSync(path.join(ROOT, "wrangler.toml"), "utf8");
    const config = file("bad.toml", `${toml}\n${stringify({ vars })}`);
    const run = make(["check", `CONFIG=${config}`]);
    assert.notEqual(await run.exit, 0);
    assert.match(run.lines.join("\n"), says);

    const server = await serve({ config: { vars }, env: { TOLLGATE_SECRET: SECRET, ANTHROPIC_API_KEY: "k" } });
    try {
      const ready = await fetch(`${server.url}/readyz`, { headers: { authorization: `Bearer ${await server.token("viewer")}` } });
      assert.equal(ready.status, 503);
      assert.match(await ready.text(), says);
    } finally {
      await server.stop();
    }
  });
}

test("a variable over 5 KB is refused by make check", async () => {
  const toml = readFileSync(path.join(ROOT, "wrangler.toml"), "utf8");
  const accounts = Array.from(
    { length: 80 },
    (_, i) => `[vars.TOLLGATE_ACCOUNTS.account-number-${i}]\nprovider = "anthropic"\nsecret = "ANTHROPIC_API_KEY_${i}"\n`,
  ).join("\n");
  const run = make(["check", `CONFIG=${file("large.toml", `${toml}\n${accounts}`)}`]);
  assert.notEqual(await run.exit, 0);
  assert.match(run.lines.join("\n"), /TOLLGATE_ACCOUNTS[^\n]*5[ ,.]?(000|120|KB|kB)/);
});

test("make check is content with what the repository has", async () => {
  const run = make(["check"]);
  assert.equal(await run.exit, 0, run.lines.join("\n"));
});

for (const [name, env, says] of /** @type {const} */ ([
  ["no TOLLGATE_SECRET", { ANTHROPIC_API_KEY: "k", TOLLGATE_SECRET: "" }, /TOLLGATE_SECRET/],
  ["a short TOLLGATE_SECRET", { ANTHROPIC_API_KEY: "k", TOLLGATE_SECRET: "short" }, /TOLLGATE_SECRET.*32/],
])) {
  test(`${name}: requests are refused with what to do, and nothing crashes`, async () => {
    const server = await serve({ env });
    try {
      const response = await fetch(`${server.url}/v1/messages`, {
        method: "POST",
        headers: { "x-api-key": "tg_sk_abc", "content-type": "application/json" },
        body: JSON.stringify(ask("Hello")),
      });
      assert.equal(response.status, 503);
      assert.match((await response.json()).error.message, says);
      assert.equal((await fetch(`${server.url}/readyz`)).status, 503);
      assert.equal((await fetch(`${server.url}/admin/tenants`)).status, 404);
    } finally {
      await server.stop();
    }
  });
}

test("without the provider's key requests are refused with what to do", async () => {
  const world = await open({ env: { ANTHROPIC_API_KEY: "" } });
  try {
    const response = await world.post(await world.key(), ask("Hello"));
    assert.equal(response.status, 503);
    assert.match((await response.json()).error.message, /wrangler secret put ANTHROPIC_API_KEY/);
  } finally {
    await world.close();
  }
});
