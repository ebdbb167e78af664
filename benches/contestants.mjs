// What `make bench` compares, each started in front of the one upstream:
// a bare Worker, Tollgate, Portkey's gateway.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { startEdge } from "./edge.mjs";
import { freePort, start, startWorkerd } from "../tests/serve/program.mjs";

const run = promisify(execFile);
const HERE = new URL(".", import.meta.url).pathname;
const ROOT = path.join(HERE, "..");
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
  const { ready, stop } = start(LOAD, ["upstream"], (line) => line.match(/^ready (\S+)/)?.[1]);
  return { url: await ready, stop };
}

/**
 * @param {string} upstreamUrl
 * @returns {Promise<Contestant>}
 */
export async function bare(upstreamUrl) {
  const server = await startWorkerd(path.join(HERE, "bare/workerd.capnp"), { UPSTREAM: upstreamUrl });
  return { name: "bare", key: PROVIDER_KEY, headers: [], ...server };
}

/**
 * The release bundle, one tenant without limits of its own, an account whose
 * limits are far: none waits, and isolates admit by leases, as deployed.
 *
 * @param {string} upstreamUrl
 * @param {string} scratch a directory to write to
 * @param {{bundle?: string, flags?: string[], objects?: string[], vars?: Record<string, any>}} [options] of startEdge; more settings
 * @returns {Promise<Contestant & {keyId: string}>}
 */
export async function tollgate(upstreamUrl, scratch, options) {
  const limits = { "*": { rpm: 100_000_000, itpm: 100_000_000_000, otpm: 100_000_000_000 } };
  const account = { provider: "anthropic", secret: "ANTHROPIC_API_KEY", base_url: upstreamUrl, limits };
  const vars = { TOLLGATE_ACCOUNTS: { anthropic: account }, ...options?.vars };
  const server = await startEdge(scratch, vars, { ANTHROPIC_API_KEY: PROVIDER_KEY }, options);
  return { name: "tollgate", headers: [], ...server };
}

/**
 * The same without leases: every request asks the Gate.
 *
 * @param {string} upstreamUrl
 * @param {string} scratch
 * @returns {Promise<Contestant>}
 */
export async function exact(upstreamUrl, scratch) {
  return { ...(await tollgate(upstreamUrl, scratch, { vars: { TOLLGATE_GATE: { leases: false } } })), name: "exact" };
}

/**
 * On Node, the way that its package documents (`npx @portkey-ai/gateway`); the
 * npm package holds no build for workerd.
 *
 * @param {string} upstreamUrl
 * @returns {Promise<Contestant>}
 */
export async function portkey(upstreamUrl) {
  const program = path.join(await installPortkey(), "node_modules/@portkey-ai/gateway/build/start-server.js");
  const port = await freePort();
  const { ready, pid, stop } = start(
    process.execPath,
    [program, "--headless", `--port=${port}`],
    (line) => line.includes("Ready for connections"),
    { NODE_ENV: "production" },
  );
  await ready;
  const headers = ["x-portkey-provider: anthropic", `x-portkey-custom-host: ${upstreamUrl}/v1`];
  return { name: "portkey", url: `http://127.0.0.1:${port}`, pid, key: PROVIDER_KEY, headers, stop };
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
