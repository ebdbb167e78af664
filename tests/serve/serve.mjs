// Starts the bundle of dist/edge on workerd, for tests and benchmarks.
//
// Each server is a process of its own (main.mjs, which `make serve` runs too):
// a workerd that is killed, or a log that floods, cannot disturb the caller.

import { fork } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { stringify } from "smol-toml";

const MAIN = new URL("./main.mjs", import.meta.url).pathname;

/**
 * @typedef {object} Options
 * @property {string | {vars: Record<string, any>}} [config] a TOML file, or its content, whose `vars`
 *   replace wrangler.toml's; none: wrangler.toml's own
 * @property {string | {tenants: Record<string, any>}} [tenants] a TOML file, or its content, applied before ready
 * @property {number} [port] 0, the default: a free one
 * @property {string} [state] a directory that outlives the server; none: a fresh one
 * @property {Record<string, string>} [env] secrets by name, over those of this process
 * @property {string} [bundle] directory of the bundle; none: dist/edge
 * @property {string} [emulator] its address: the page then shows what arrived there
 * @property {(line: string) => void} [log] called with each line that the Worker or workerd writes
 *
 * @typedef {object} Server
 * @property {string} url without a slash at its end
 * @property {number} pid workerd's own process
 * @property {() => Promise<void>} kill9 kills workerd as a crash would; resolves when all is gone
 * @property {() => Promise<void>} stop
 * @property {() => string[]} logs every line so far, at most LOG_LINES_MAX, the newest
 * @property {(role?: string) => Promise<string>} token an admin token, signed offline
 * @property {(tenant: string, more?: Record<string, any>) => Promise<{key: string, id: string}>} key a new key
 */

/** A flood of log lines may not fill the test's memory. */
const LOG_LINES_MAX = 100_000;

/**
 * Resolves when the gateway answers and the tenants are in force. Rejects with
 * the server's own sentence when it cannot start.
 *
 * @param {Options} [options]
 * @returns {Promise<Server>}
 */
export async function serve(options = {}) {
  const scratch = await mkdtemp(path.join(tmpdir(), "tollgate-serve-"));
  const args = ["--port", String(options.port ?? 0)];
  for (const name of /** @type {const} */ (["config", "tenants"])) {
    const value = options[name];
    if (value === undefined) continue;
    args.push(`--${name}`, typeof value === "string" ? value : await toml(scratch, name, value));
  }
  if (options.state) args.push("--state", options.state);
  if (options.bundle) args.push("--bundle", options.bundle);
  if (options.emulator) args.push("--emulator", options.emulator);

  const child = fork(MAIN, args, {
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  /** @type {string[]} */
  const lines = [];
  const log = (/** @type {string} */ line) => {
    lines.push(line);
    if (lines.length > LOG_LINES_MAX) lines.shift();
    options.log?.(line);
  };
  splitLines(child.stdout, () => {});
  splitLines(child.stderr, log);
  const gone = new Promise((resolve) => child.once("close", resolve)).then(() =>
    rm(scratch, { recursive: true, force: true }),
  );
  const ready = await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("error", reject);
    void gone.then(() => reject(new Error(lines.slice(-20).join("\n") || "the server ended")));
  });

  const call = caller(child);
  return {
    url: ready.url,
    pid: ready.pid,
    kill9: () => (process.kill(ready.pid, "SIGKILL"), gone),
    stop: () => (child.kill("SIGTERM"), gone),
    logs: () => [...lines],
    token: (role = "owner") => call("token", { role }),
    key: (tenant, more = {}) => call("key", { tenant, kind: "secret", ...more }),
  };
}

/**
 * @param {string} dir
 * @param {string} name
 * @param {object} value
 */
async function toml(dir, name, value) {
  const file = path.join(dir, `${name}.toml`);
  await writeFile(file, stringify(value));
  return file;
}

/**
 * @param {import("node:stream").Readable | null} stream
 * @param {(line: string) => void} each
 */
export function splitLines(stream, each) {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (text) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    parts.forEach(each);
  });
  stream?.on("end", () => rest && each(rest));
}

/** @param {import("node:child_process").ChildProcess} child */
function caller(child) {
  let next = 0;
  return (/** @type {string} */ what, /** @type {any} */ args) =>
    new Promise((resolve, reject) => {
      const id = next++;
      child.on("message", function answer(/** @type {any} */ message) {
        if (message.id !== id) return;
        child.off("message", answer);
        message.error ? reject(new Error(message.error)) : resolve(message.value);
      });
      child.send({ id, what, args });
    });
}
