// `make dev`: emulator, gateway, a demo tenant and its keys, and a banner.

import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { emulator, EMULATOR_KEY } from "./emulator.mjs";
import { serve } from "./serve.mjs";

const SECRETS = ".dev.vars";
const STATE = ".state/dev";
/** "tight" has limits that a person reaches, to see what the page and the gate say then. */
const TENANTS = {
  tenants: {
    demo: { weight: 1 },
    tight: { weight: 1, limits: { rpm: 6, itpm: 20_000, otpm: 4_000 }, budgets: [{ window: "day", usd: "0.50" }] },
  },
};

const { values: args } = parseArgs({ options: { port: { type: "string", default: "8787" } } });
const real = Boolean(process.env.REAL);
const secrets = devVars();
if (real && !secrets.ANTHROPIC_API_KEY && !process.env.ANTHROPIC_API_KEY) {
  console.error(`REAL=1 needs a provider key: write ANTHROPIC_API_KEY=sk-ant-... into ${SECRETS}`);
  process.exit(1);
}

/** @type {{stop: () => Promise<void>}[]} */
const running = [];
for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"])) {
  process.once(signal, async () => {
    await Promise.all(running.map((server) => server.stop()));
    process.exit(0);
  });
}

try {
  await up();
} catch (error) {
  await Promise.all(running.map((server) => server.stop()));
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

async function up() {
  mkdirSync(STATE, { recursive: true });
  const upstream = real ? undefined : await emulator();
  if (upstream) running.push(upstream);
  const account = { provider: "anthropic", secret: "ANTHROPIC_API_KEY" };
  const gateway = await serve({
    port: Number(args.port),
    state: STATE,
    config: { vars: { TOLLGATE_ACCOUNTS: { anthropic: { ...account, ...(upstream && { base_url: upstream.url }) } } } },
    tenants: TENANTS,
    env: { ...secrets, ...(upstream && { ANTHROPIC_API_KEY: EMULATOR_KEY }) },
    emulator: upstream?.url,
    log: (line) => console.error(line),
  });
  running.push(gateway);
  banner(gateway.url, await keyOf(gateway, "demo"), await keyOf(gateway, "tight"), await gateway.token("owner"));
}

/**
 * One key for all runs, as long as the gate knows it: what was pasted into a
 * program yesterday works today.
 *
 * @param {import("./serve.mjs").Server} gateway
 * @param {string} tenant
 */
async function keyOf(gateway, tenant) {
  const file = `${STATE}/${tenant}-key`;
  if (existsSync(file)) {
    const key = readFileSync(file, "utf8");
    const { ok } = await fetch(`${gateway.url}/v1/limits`, { headers: { "x-api-key": key } });
    if (ok) return key;
  }
  const { key } = await gateway.key(tenant);
  writeFileSync(file, key, { mode: 0o600 });
  return key;
}

/**
 * @param {string} url
 * @param {string} key
 * @param {string} tight
 * @param {string} token
 */
function banner(url, key, tight, token) {
  console.log(`
Tollgate runs in front of ${real ? "api.anthropic.com, with your key: requests cost money" : "an emulated provider: no account needed"}.

  page         ${url}/
  gateway      ${url}      the base URL for an SDK
  key          ${key}      for x-api-key, tenant "demo"
  and          ${tight}      tenant "tight": 6 requests a minute, to see the page refuse
  admin token  ${token}

Try it:

  curl -sS ${url}/v1/messages -H 'x-api-key: ${key}' -H 'anthropic-version: 2026-10-21' -H 'content-type: application/json' -d '{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'

${real ? "" : `With a real account: write ANTHROPIC_API_KEY=sk-ant-... into ${SECRETS}, then run make dev REAL=1\n`}
ready ${url}`);
}

/** The secrets of .dev.vars, with a TOLLGATE_SECRET made where it has none. */
function devVars() {
  const text = existsSync(SECRETS) ? readFileSync(SECRETS, "utf8") : "";
  const secrets = Object.fromEntries(
    [...text.matchAll(/^\s*([A-Z][A-Z0-9_]*)\s*=\s*(["']?)(.*?)\2\s*$/gm)].map((line) => [line[1], line[3]]),
  );
  if (!secrets.TOLLGATE_SECRET) {
    secrets.TOLLGATE_SECRET = randomBytes(32).toString("base64url");
    appendFileSync(SECRETS, `${text && !text.endsWith("\n") ? "\n" : ""}TOLLGATE_SECRET=${secrets.TOLLGATE_SECRET}\n`, {
      mode: 0o600,
    });
  }
  return secrets;
}
