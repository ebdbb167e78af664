// What a test file needs: an emulator, a gateway before it, keys, clients.

import { randomBytes } from "node:crypto";
import { request } from "node:http";
import Anthropic from "@anthropic-ai/sdk";
import { emulator, EMULATOR_KEY } from "../serve/emulator.mjs";
import { serve } from "../serve/serve.mjs";

export const MODEL = "claude-sonnet-5-5";
export const VERSION = "2026-10-21";

/**
 * @typedef {object} World
 * @property {import("../serve/emulator.mjs").Emulator} upstream
 * @property {import("../serve/serve.mjs").Server} gateway
 * @property {string} secret that signs keys
 * @property {(tenant?: string, options?: object) => Promise<Anthropic>} sdk a new key's client, without retries of its own
 * @property {(tenant?: string, more?: object) => Promise<string>} key a new key
 * @property {(key: string, body: unknown, options?: Call) => Promise<Response>} post to /v1/messages, unless `path` says else
 * @property {(key: string, path: string, headers?: Record<string, string>) => Promise<any>} get the answer's JSON
 * @property {(method: string, path: string, body?: unknown, role?: string) => Promise<any>} admin the answer's JSON; throws where it is an error
 * @property {() => Promise<any>} stats totals over the emulator's pools
 * @property {(key: string) => Promise<{requests: number, tokens: number}>} recorded what the key's budgets of today have lost
 * @property {(key: string, body: unknown, headers?: Record<string, string>) => () => Promise<void>} leaver asks, and leaves when it is told to
 * @property {() => Promise<void>} restart kills workerd as a crash would and starts it again on the same state
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Call
 * @property {string} [path]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 *
 * @typedef {object} Options
 * @property {string[]} [flags] of the emulator; none: no delays and limits out of reach
 * @property {string} [provider] the address of another provider, in place of the emulator
 * @property {Record<string, any>} [vars] beside TOLLGATE_ACCOUNTS
 * @property {Record<string, any>} [account] settings of the one account beside its address
 * @property {Record<string, any> | null} [tenants] none: acme and globex, without limits; null: nothing is applied
 * @property {Record<string, string>} [env]
 * @property {string} [state]
 * @property {string} [bundle]
 * @property {(line: string) => void} [log] hears what workerd prints
 */

/** An emulator that answers at once and refuses nothing. */
export const UNLIMITED = ["--instant", "--rpm", "1000000", "--itpm", "1000000000", "--otpm", "1000000000"];

/** No emulator: everything but stopping it throws. */
const NONE = /** @type {import("../serve/emulator.mjs").Emulator} */ ({ url: "", stop: async () => {} });

/**
 * @param {Options} [options]
 * @returns {Promise<World>}
 */
export async function open(options = {}) {
  const upstream = options.provider ? NONE : await emulator(options.flags ?? UNLIMITED);
  const account = {
    provider: "anthropic",
    secret: "ANTHROPIC_API_KEY",
    base_url: options.provider ?? upstream.url,
    ...options.account,
  };
  const secrets = { TOLLGATE_SECRET: randomBytes(32).toString("base64url"), ANTHROPIC_API_KEY: EMULATOR_KEY };
  const start = (/** @type {boolean} */ first, /** @type {number} */ port) =>
    serve({
      port,
      state: options.state,
      bundle: options.bundle,
      config: { vars: { TOLLGATE_ACCOUNTS: { anthropic: account }, ...options.vars } },
      tenants: first && options.tenants !== null ? { tenants: options.tenants ?? { acme: {}, globex: {} } } : undefined,
      env: { ...secrets, ...options.env },
      log: options.log ?? (process.env.TOLLGATE_LOG ? (line) => console.error(line) : undefined),
    });
  let gateway = await start(true, 0).catch(async (error) => {
    await upstream.stop();
    throw error;
  });

  const key = async (tenant = "acme", more = {}) => (await gateway.key(tenant, more)).key;
  /** @type {World} */
  const world = {
    upstream,
    secret: secrets.TOLLGATE_SECRET,
    get gateway() {
      return gateway;
    },
    key,
    sdk: async (tenant = "acme", more = {}) =>
      new Anthropic({ baseURL: gateway.url, apiKey: await key(tenant), maxRetries: 0, ...more }),
    post: (key, body, { path = "/v1/messages", headers = {}, signal } = {}) =>
      fetch(gateway.url + path, {
        method: "POST",
        headers: { "x-api-key": key, "anthropic-version": VERSION, "content-type": "application/json", ...headers },
        body: typeof body === "string" || body instanceof Uint8Array ? /** @type {any} */ (body) : JSON.stringify(body),
        signal,
      }),
    get: async (key, path, headers = {}) =>
      (await fetch(gateway.url + path, { headers: { "x-api-key": key, "anthropic-version": VERSION, ...headers } })).json(),
    admin: async (method, path, body, role = "owner") => {
      const response = await fetch(gateway.url + path, {
        method,
        headers: { authorization: `Bearer ${await gateway.token(role)}`, "content-type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path} answers ${response.status}: ${text}`);
      return text ? JSON.parse(text) : undefined;
    },
    stats: async () => sums(await upstream.stats()),
    recorded: async (key) => {
      const { limits } = await world.get(key, "/v1/limits");
      const used = (/** @type {string} */ kind) => {
        const { level, capacity } = limits.find((/** @type {any} */ limit) => limit.kind === kind);
        return capacity - level;
      };
      return { requests: used("requests_day"), tokens: used("tokens_day") };
    },
    leaver: (key, body, headers = {}) => {
      const { hostname, port } = new URL(gateway.url);
      const client = request({
        host: hostname,
        port,
        method: "POST",
        path: "/v1/messages",
        agent: false,
        headers: { "x-api-key": key, "anthropic-version": VERSION, "content-type": "application/json", ...headers },
      });
      const closed = new Promise((resolve) => client.once("error", resolve));
      client.end(JSON.stringify(body));
      return async () => {
        // By a reset: workerd takes a plain close, before it has written anything,
        // for a client that sent all and still listens (measured, 2026-11-17).
        client.socket?.resetAndDestroy();
        await closed;
      };
    },
    restart: async () => {
      const port = Number(new URL(gateway.url).port);
      await gateway.kill9();
      gateway = await start(false, port);
    },
    close: async () => {
      await Promise.all([gateway.stop(), upstream.stop()]);
    },
  };
  return world;
}

/**
 * A small request; `control` steers the emulator (its README has the list).
 *
 * @param {string} text
 * @param {Record<string, any>} [more]
 * @param {string} [control] e.g. "fault=cut;after=3"
 * @returns {Anthropic.MessageCreateParamsNonStreaming}
 */
export function ask(text, more = {}, control) {
  return {
    model: MODEL,
    max_tokens: 64,
    messages: [{ role: /** @type {const} */ ("user"), content: text }],
    ...(control && { metadata: { user_id: `emulator:${control}` } }),
    ...more,
  };
}

/**
 * Resolves once `look` answers something true: waits for what the system tells,
 * never for a time. What has not come after LOST_MS never will.
 *
 * @template T
 * @param {() => Promise<T>} look
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(look) {
  const lost = AbortSignal.timeout(LOST_MS);
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (lost.aborted) throw new Error(`never came: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Longer than anything here takes on a machine that is busy with other things. */
const LOST_MS = 120_000;

/**
 * @param {Response} response
 * @returns {Promise<string[]>} the chunks of its body, as they came
 */
export async function chunks(response) {
  const out = [];
  const decoder = new TextDecoder();
  for await (const chunk of /** @type {any} */ (response.body)) out.push(decoder.decode(chunk, { stream: true }));
  return out;
}

/**
 * @param {string} text of an SSE body
 * @returns {{event: string, data: any}[]}
 */
export function events(text) {
  return text
    .split("\n\n")
    .filter((block) => block.includes("data:"))
    .map((block) => ({
      event: block.match(/^event: ?(.*)$/m)?.[1] ?? "",
      data: JSON.parse([...block.matchAll(/^data: ?(.*)$/gm)].map((line) => line[1]).join("\n")),
    }));
}

/**
 * Adds up every number of the emulator's statistics by its name.
 *
 * @param {any} stats
 */
function sums(stats) {
  /** @type {Record<string, number>} */
  const total = {};
  const walk = (/** @type {any} */ value, /** @type {string} */ path) => {
    if (typeof value === "number") total[path] = (total[path] ?? 0) + value;
    else if (Array.isArray(value)) value.forEach((inner) => walk(inner, path));
    else if (value && typeof value === "object")
      for (const [key, inner] of Object.entries(value)) walk(inner, path ? `${path}.${key}` : key);
  };
  walk(stats.pools ?? stats, "");
  return total;
}
