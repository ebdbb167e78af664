// 100 waiting requests of 1 MB each in one isolate, and 100 stalled clients:
// none lost, the rest refused with 503 and a time; memory printed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { ANSWER, puppet, SSE } from "./puppet.mjs";
import { ask, open, until } from "./world.mjs";

const MEGABYTE = 1024 * 1024;
const N = 100;

/** @type {import("./puppet.mjs").Puppet} */
let provider;
/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let key;

before(async () => {
  provider = await puppet();
  // One request at a time: all others wait in the queue with their bodies.
  world = await open({
    provider: provider.url,
    // A provider that never tells its limits would be asked with care.
    account: { limits: { "*": { rpm: 100_000, itpm: 1_000_000_000, otpm: 1_000_000_000 } } },
    tenants: { acme: { limits: { concurrent: 1 } }, globex: {} },
  });
  key = await world.key();
});
after(async () => {
  await world?.close();
  await provider?.close();
});

/** Resident memory of workerd, MiB. */
function resident() {
  const status = readFileSync(`/proc/${world.gateway.pid}/status`, "utf8");
  return Number(status.match(/^VmRSS:\s+(\d+)/m)?.[1]) / 1024;
}

test("100 waiting requests of 1 MB", async () => {
  const before = resident();
  const body = JSON.stringify(ask("lorem ipsum dolor sit amet ".repeat(MEGABYTE / 27)));
  let settled = 0;
  const one = async () => {
    const response = await world.post(key, body, { headers: { "x-tollgate-max-wait": "600" } });
    const text = await response.text();
    settled += 1;
    return { status: response.status, retryAfter: response.headers.get("retry-after"), text };
  };
  let served = 0;
  let most = 0;
  const done = new AbortController();
  const provide = async () => {
    for (let exchange; (exchange = await provider.next(done.signal)); ) {
      // The first is answered when every other request waits or was refused.
      if (served === 0) await until(async () => settled + (await waiting()) >= N - 1);
      most = Math.max(most, resident());
      served += 1;
      exchange.head(200, { "content-type": "application/json" });
      await exchange.write(JSON.stringify(ANSWER));
      exchange.end();
    }
  };
  const providing = provide();
  const results = await Promise.all(Array.from({ length: N }, one));
  done.abort();
  await providing;
  const ok = results.filter(({ status }) => status === 200);
  const refused = results.filter(({ status }) => status === 503);
  console.log(`memory: ${N} waiting bodies of 1 MB: ${before.toFixed(0)} MiB before, ${most.toFixed(0)} MiB at most; ${ok.length} served, ${refused.length} refused`);
  assert.equal(ok.length + refused.length, N, JSON.stringify(results.find(({ status }) => ![200, 503].includes(status))));
  assert.equal(ok.length, served, "none lost");
  assert.ok(ok.length >= 30, String(ok.length));
  for (const { retryAfter, text } of refused) {
    assert.ok(Number(retryAfter) > 0, text);
    assert.equal(JSON.parse(text).type, "error");
  }
});

/** @returns {Promise<number>} requests in the queue, as the Gate tells its operator */
async function waiting() {
  const { gate } = await world.admin("GET", "/admin/config");
  return gate.waiting.reduce((/** @type {number} */ sum, /** @type {number} */ n) => sum + n, 0);
}

test("100 stalled clients", async () => {
  const before = resident();
  const other = await world.key("globex");
  const delta = SSE.text("x".repeat(4000));
  const clients = [];
  const exchanges = [];
  const url = new URL(world.gateway.url);
  for (let i = 0; i < N; i++) {
    // A plain socket that reads the head and then no more.
    const client = request({ host: url.hostname, port: url.port, method: "POST", path: "/v1/messages", headers: { "x-api-key": other, "anthropic-version": "2026-10-21", "content-type": "application/json" } });
    const head = new Promise((resolve) => client.once("response", (response) => resolve(response.pause())));
    client.end(JSON.stringify(ask(`Stall ${i}`, { stream: true })));
    clients.push({ client, head });
    const exchange = await provider.next();
    exchange.head(200, { "content-type": "text/event-stream" });
    await exchange.write(SSE.start + SSE.open);
    exchanges.push(exchange);
  }
  const responses = await Promise.all(clients.map(({ head }) => head));
  // 400 kB for each, which nobody reads.
  for (const exchange of exchanges) {
    for (let i = 0; i < 100; i++) void exchange.write(delta).catch(() => {});
  }
  const another = world.post(other, ask("Others go on"));
  const exchange = await provider.next();
  exchange.head(200, { "content-type": "application/json" });
  await exchange.write(JSON.stringify(ANSWER));
  exchange.end();
  assert.equal((await another).status, 200, "others go on");
  const during = resident();
  for (const exchange of exchanges) {
    void exchange.write(SSE.close + SSE.delta(100) + SSE.stop).catch(() => {});
    exchange.end();
  }
  let whole = 0;
  for (const response of /** @type {import("node:http").IncomingMessage[]} */ (responses)) {
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    if (text.endsWith(SSE.stop)) whole += 1;
  }
  console.log(`memory: ${N} stalled clients of 400 kB: ${before.toFixed(0)} MiB before, ${during.toFixed(0)} MiB with them`);
  assert.equal(whole, N, "none lost");
});
