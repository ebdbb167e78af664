// Starts tests/emulator, the honest upstream.

import { spawn } from "node:child_process";
import { splitLines } from "./serve.mjs";

const EMULATOR = new URL("../../target/tools/tollgate-emulator", import.meta.url).pathname;

/** The key that the emulator knows. */
export const EMULATOR_KEY = "sk-ant-emulator";

/**
 * @typedef {object} Emulator
 * @property {string} url
 * @property {() => Promise<void>} stop
 * @property {() => Promise<any>} stats what it granted, refused and could have granted, since the last reset
 * @property {() => Promise<any[]>} requests the last requests as it received them, newest first, keys redacted
 * @property {(faults: object[]) => Promise<any>} faults
 * @property {(limits: object) => Promise<any>} limits other limits from now on, by pool
 * @property {(pool: string, amounts: object) => Promise<any>} drain somebody else uses the account
 * @property {(limits?: object) => Promise<any>} reset buckets full, statistics zero, faults none
 */

/**
 * Resolves when it listens.
 *
 * @param {string[]} [flags] of the program, beyond the port
 * @returns {Promise<Emulator>}
 */
export async function emulator(flags = []) {
  const child = spawn(EMULATOR, ["--port", "0", ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const gone = new Promise((/** @type {(value: void) => void} */ resolve) => child.once("close", () => resolve()));
  // Its group is ours, but a caller that dies of an error must not leave it.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  void gone.then(() => process.off("exit", kill));
  const url = await new Promise((/** @type {(url: string) => void} */ resolve, reject) => {
    child.once("error", reject);
    void gone.then(() => reject(new Error("the emulator ended")));
    splitLines(child.stdout, (line) => line.startsWith("ready ") && resolve(line.slice("ready ".length).trim()));
  });
  const call = async (/** @type {string} */ path, /** @type {unknown} */ body) => {
    const response = await fetch(`${url}/emulator/${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`the emulator's ${path} answers ${response.status}: ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  return {
    url,
    stop: () => (child.kill("SIGTERM"), gone),
    stats: () => call("stats", undefined),
    requests: () => call("requests", undefined),
    faults: (faults) => call("faults", faults),
    limits: (limits) => call("limits", limits),
    drain: (pool, amounts) => call("drain", { key: EMULATOR_KEY, pool, ...amounts }),
    reset: (limits = {}) => call("reset", limits),
  };
}
