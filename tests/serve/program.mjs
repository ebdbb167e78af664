// Programs that a test or a benchmark starts, and their ports.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import path from "node:path";
// @ts-expect-error the package has no types: it exports its binary's path, as CommonJS
import { default as WORKERD } from "workerd";
import { splitLines } from "./serve.mjs";

// What is left behind would disturb the next: exit handlers run.
for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"])) process.once(signal, () => process.exit(1));

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
export function start(program, args, see, env) {
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
  // Not SIGTERM, on which workerd waits for its connections: its state is thrown away.
  return { ready, pid: Number(child.pid), stop: () => (child.kill("SIGKILL"), gone) };
}

/**
 * workerd on a configuration with one socket on port 0.
 *
 * @param {string} config
 * @param {Record<string, string>} [env]
 * @param {string[]} [flags]
 */
export async function startWorkerd(config, env, flags = []) {
  const see = (/** @type {string} */ line) => {
    if (line.startsWith('{"event":"listen"')) return JSON.parse(line).port;
    if (line !== "" && !line.startsWith("{")) console.error(`workerd: ${line}`);
  };
  // As Miniflare and wrangler start it: Durable Objects on disk are experimental.
  const args = ["serve", "--experimental", "--control-fd=1", ...flags, config];
  const { ready, pid, stop } = start(WORKERD.default, args, see, env);
  return { url: `http://127.0.0.1:${await ready}`, pid, stop };
}

/** @returns {Promise<number>} a port that was free a moment ago */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
