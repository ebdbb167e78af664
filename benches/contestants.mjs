// What `make bench` compares, each started in front of the one upstream:
// a bare Worker, Tollgate, Portkey's gateway.

import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
// @ts-expect-error the package has no types: it exports its binary's path, as CommonJS
import { default as WORKERD } from "workerd";
import { serve, splitLines } from "../tests/serve/serve.mjs";

const run = promisify(execFile);
const HERE = new URL(".", import.meta.url).pathname;
export const ROOT = path.join(HERE, "..");
export const LOAD = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", "tools/load");

/** Any value will do: the fast upstream does not look at it. */
const PROVIDER_KEY = "sk-ant-bench";

/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {string} url
 * @property {number} pid of the one process that does the work
 * @property {string} key
 * @property {string[]} headers beyond those that every request has
 * @property {() => Promise<void>} stop
 */

/** The fast upstream of benches/load. */
export async function upstream() {
  const { child, ready, stop } = start(LOAD, ["upstream"], (line) => line.match(/^ready (\S+)/)?.[1]);
  return { url: await ready, pid: Number(child.pid), stop };
}

/**
 * @param {string} upstreamUrl
 * @returns {Promise<Contestant>}
 */
export async function bare(upstreamUrl) {
  const { child, ready, stop } = start(
    WORKERD.default,
    ["serve", "--control-fd=1", path.join(HERE, "bare/workerd.capnp")],
    (line) => line.startsWith("{") && JSON.parse(line).event === "listen" && JSON.parse(line).port,
    { UPSTREAM: upstreamUrl },
  );
  return {
    name: "bare",
    url: `http://127.0.0.1:${await ready}`,
    pid: Number(child.pid),
    key: PROVIDER_KEY,
    headers: [],
    stop,
  };
}

/**
 * The release bundle, one tenant without limits of its own, an account whose
 * limits are far: every request asks the Gate and none waits.
 *
 * @param {string} upstreamUrl
 * @param {string} [bundle] none: dist/edge
 * @returns {Promise<Contestant & {keyId: string}>}
 */
export async function tollgate(upstreamUrl, bundle) {
  const limits = { "*": { rpm: 100_000_000, itpm: 100_000_000_000, otpm: 100_000_000_000 } };
  const account = { provider: "anthropic", secret: "ANTHROPIC_API_KEY", base_url: upstreamUrl, limits };
  const server = await serve({
    bundle,
    config: { vars: { TOLLGATE_ACCOUNTS: { anthropic: account } } },
    tenants: { tenants: { bench: {} } },
    env: { TOLLGATE_SECRET: randomBytes(32).toString("base64url"), ANTHROPIC_API_KEY: PROVIDER_KEY },
    log: (line) => console.error(`tollgate: ${line}`),
  });
  const { key, id } = await server.key("bench");
  return { name: "tollgate", url: server.url, pid: server.pid, key, keyId: id, headers: [], stop: server.stop };
}

/**
 * On Node, the way that its package documents (`npx @portkey-ai/gateway`); the
 * npm package holds no build for workerd.
 *
 * @param {string} upstreamUrl
 * @returns {Promise<Contestant>}
 */
export async function portkey(upstreamUrl) {
  const dir = await installPortkey();
  const port = await freePort();
  const { child, ready, stop } = start(
    process.execPath,
    [path.join(dir, "node_modules/@portkey-ai/gateway/build/start-server.js"), "--headless", `--port=${port}`],
    (line) => line.includes("Ready for connections"),
    { NODE_ENV: "production" },
  );
  await ready;
  return {
    name: "portkey",
    url: `http://127.0.0.1:${port}`,
    pid: Number(child.pid),
    key: PROVIDER_KEY,
    headers: ["x-portkey-provider: anthropic", `x-portkey-custom-host: ${upstreamUrl}/v1`],
    stop,
  };
}

/** Into the user's cache directory, once for each version. */
async function installPortkey() {
  const { TOLLGATE_CACHE, XDG_CACHE_HOME = path.join(homedir(), ".cache") } = process.env;
  const cache = TOLLGATE_CACHE ?? path.join(XDG_CACHE_HOME, "tollgate");
  const from = path.join(HERE, "portkey");
  const { dependencies } = JSON.parse(await readFile(path.join(from, "package.json"), "utf8"));
  const version = dependencies["@portkey-ai/gateway"];
  const dir = path.join(cache, `portkey-${version}`);
  if (existsSync(dir)) return dir;
  console.error(`[bench] installing Portkey's gateway ${version} from npm`);
  const partial = `${dir}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(cache, { recursive: true });
  await cp(from, partial, { recursive: true });
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: partial });
  await rename(partial, dir);
  return dir;
}

/** @returns {Promise<number>} a port that was free a moment ago */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/**
 * Starts a program; `ready` resolves with the first truthy value that `see`
 * makes of a line of its output. The program never outlives this process.
 *
 * @template T
 * @param {string} program
 * @param {string[]} args
 * @param {(line: string) => T} see
 * @param {Record<string, string>} [env]
 */
function start(program, args, see, env) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  /** @type {string[]} */
  const last = [];
  const gone = new Promise((/** @type {(value: void) => void} */ resolve) => child.once("close", () => resolve()));
  void gone.then(() => process.off("exit", kill));
  const ready = new Promise((/** @type {(value: NonNullable<T>) => void} */ resolve, reject) => {
    child.once("error", reject);
    void gone.then(() => reject(new Error(`${path.basename(program)} ended: ${last.join("\n")}`)));
    for (const stream of [child.stdout, child.stderr]) {
      splitLines(stream, (line) => {
        if (last.push(line) > 20) last.shift();
        const seen = see(line);
        if (seen) resolve(seen);
      });
    }
  });
  return { child, ready, stop: () => (child.kill("SIGTERM"), gone) };
}
