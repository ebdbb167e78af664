// Bad input: each gets its status and the provider's JSON with field and
// remedy; nothing reaches the provider, nothing is charged, nothing of key or
// prompt is in a log.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { sign } from "./sign.mjs";
import { ask, MODEL, open, VERSION } from "./world.mjs";

const PROMPT = "XYZZY-the-prompt-XYZZY";
const BUDGET = { window: "day", requests: 1000, tokens: 1_000_000_000, usd: "1000" };

/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let key;

before(async () => {
  world = await open({ tenants: { acme: { budgets: [BUDGET] }, globex: {}, narrow: { models: ["claude-haiku-*"] } } });
  key = await world.key();
});
after(() => world?.close());

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {unknown} [body] sent as it is where it is text, else as JSON
 * @property {() => string | Promise<string>} [key]
 * @property {Record<string, string>} [headers]
 * @property {string} [path]
 * @property {number} status
 * @property {string} type
 * @property {RegExp} says field and remedy
 */

const deep = (/** @type {number} */ depth) => "[".repeat(depth) + "]".repeat(depth);
const withRaw = (/** @type {string} */ raw) => JSON.stringify(ask(PROMPT)).replace(/}$/, `,${raw}}`);

/** @type {Case[]} */
const BODIES = [
  { name: "nothing", body: "", status: 400, type: "invalid_request_error", says: /JSON/ },
  { name: "not JSON", body: `prompt=${PROMPT}`, status: 400, type: "invalid_request_error", says: /JSON/ },
  { name: "JSON that breaks off", body: JSON.stringify(ask(PROMPT)).slice(0, -2), status: 400, type: "invalid_request_error", says: /JSON/ },
  { name: "two JSON values", body: JSON.stringify(ask(PROMPT)) + "{}", status: 400, type: "invalid_request_error", says: /JSON/ },
  { name: "not UTF-8", body: Buffer.concat([Buffer.from(`{"model":"${MODEL}","max_tokens":1,"messages":[{"role":"user","content":"`), Buffer.from([0xff, 0xfe]), Buffer.from(`"}]}`)]), status: 400, type: "invalid_request_error", says: /UTF-8/ },
  { name: "a list", body: "[]", status: 400, type: "invalid_request_error", says: /object/ },
  { name: "model of a wrong type", body: ask(PROMPT, { model: /** @type {any} */ (7) }), status: 400, type: "invalid_request_error", says: /model/ },
  { name: "no model", body: { max_tokens: 1, messages: [{ role: "user", content: PROMPT }] }, status: 400, type: "invalid_request_error", says: /model/ },
  { name: "max_tokens as text", body: ask(PROMPT, { max_tokens: /** @type {any} */ ("64") }), status: 400, type: "invalid_request_error", says: /max_tokens/ },
  { name: "max_tokens below 0", body: ask(PROMPT, { max_tokens: -5 }), status: 400, type: "invalid_request_error", says: /max_tokens/ },
  { name: "max_tokens with a fraction", body: ask(PROMPT, { max_tokens: 1.5 }), status: 400, type: "invalid_request_error", says: /max_tokens/ },
  { name: "max_tokens beyond reason", body: withRaw("").replace('"max_tokens":64', '"max_tokens":1e400').replace(/,}$/, "}"), status: 400, type: "invalid_request_error", says: /max_tokens/ },
  { name: "missing max_tokens", body: { model: MODEL, messages: [{ role: "user", content: PROMPT }] }, status: 400, type: "invalid_request_error", says: /max_tokens/ },
  { name: "messages of a wrong type", body: { model: MODEL, max_tokens: 1, messages: PROMPT }, status: 400, type: "invalid_request_error", says: /messages/ },
  { name: "stream of a wrong type", body: ask(PROMPT, { stream: /** @type {any} */ ("yes") }), status: 400, type: "invalid_request_error", says: /stream/ },
  { name: "nesting without end", body: withRaw(`"x":${deep(100_000)}`), status: 400, type: "invalid_request_error", says: /deep|nest/ },
  { name: "a duplicate key", body: withRaw(`"max_tokens":999999`), status: 400, type: "invalid_request_error", says: /max_tokens/ },
  { name: "a duplicate key in another spelling", body: withRaw(`"max\\u005ftokens":999999`), status: 400, type: "invalid_request_error", says: /max_tokens/ },
  { name: "an unknown model", body: ask(PROMPT, { model: "gpt-9" }), status: 404, type: "not_found_error", says: /model.*TOLLGATE_ROUTES|model.*Claude/s },
  { name: "a prompt over the context window", body: ask(PROMPT + " lorem ipsum dolor".repeat(400_000), { model: "claude-haiku-4-5" }), status: 413, type: "request_too_large", says: /messages.*Shorten/s },
];

/** @type {Case[]} */
const CALLERS = [
  { name: "no key", key: () => "", status: 401, type: "authentication_error", says: /x-api-key.*make key/s },
  { name: "a provider's key", key: () => "sk-ant-api03-abc", status: 401, type: "authentication_error", says: /tg_/ },
  { name: "a forged key", key: () => sign("another secret that is long enough ..", "tg_sk_", { tenant: "acme" }), status: 401, type: "authentication_error", says: /make key/ },
  { name: "a key whose tenant was changed", key: () => tampered(key), status: 401, type: "authentication_error", says: /make key/ },
  { name: "a cut key", key: () => key.slice(0, -4), status: 401, type: "authentication_error", says: /make key/ },
  { name: "an expired key", key: () => sign(world.secret, "tg_sk_", { tenant: "acme", expires_ms: 1_000 }), status: 401, type: "authentication_error", says: /expired.*make key/s },
  { name: "a signed key that the gate never registered", key: () => sign(world.secret, "tg_sk_", { tenant: "acme", id: "zzzzzzzzzz" }), status: 401, type: "authentication_error", says: /not registered|revoked/ },
  { name: "a key of a tenant that does not exist", key: () => sign(world.secret, "tg_sk_", { tenant: "nobody" }), status: 401, type: "authentication_error", says: /tenant|registered/ },
  { name: "an admin token", key: () => world.gateway.token(), status: 403, type: "permission_error", says: /admin/ },
  { name: "two different credentials", headers: { authorization: "Bearer tg_sk_other" }, status: 401, type: "authentication_error", says: /x-api-key.*authorization/s },
  { name: "a model that the tenant may not use", key: () => world.key("narrow"), status: 403, type: "permission_error", says: /model/ },
];

/** @type {Case[]} */
const HEADERS = [
  ["x-tollgate-priority", "urgent"],
  ["x-tollgate-max-wait", "-1"],
  ["x-tollgate-max-wait", "99999999999999999999"],
  ["x-tollgate-user", "a b"],
  ["x-tollgate-user", "u".repeat(200)],
  ["x-tollgate-cache", "maybe"],
].map(([name, value]) => ({
  name: `${name}: ${value.slice(0, 20)}`,
  headers: { [name]: value },
  status: 400,
  type: "invalid_request_error",
  says: new RegExp(name),
}));

/** @type {Case[]} */
const PATHS = [
  { name: "an unknown path", path: "/v1/complete", status: 404, type: "not_found_error", says: /pass_through/ },
  { name: "batches", path: "/v1/messages/batches", status: 404, type: "not_found_error", says: /batch/i },
];

for (const [what, cases] of Object.entries({ bodies: BODIES, callers: CALLERS, headers: HEADERS, paths: PATHS })) {
  describe(what, () => {
    for (const bad of cases) {
      test(bad.name, async () => {
        const before = (await world.upstream.requests()).length;
        const by = bad.key ? await bad.key() : key;
        const response = await world.post(by, bad.body ?? ask(PROMPT), { headers: bad.headers, path: bad.path });
        const text = await response.text();
        assert.equal(response.status, bad.status, text);
        assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
        const answer = JSON.parse(text);
        assert.equal(answer.type, "error");
        assert.equal(answer.error.type, bad.type, text);
        assert.match(answer.error.message, bad.says);
        assert.match(answer.error.details?.error_code ?? "", /^tollgate_[a-z_]+$/, text);
        assert.ok(answer.request_id, text);
        assert.equal(response.headers.get("request-id"), answer.request_id);
        assert.ok(!text.includes(PROMPT), "the prompt is not repeated");
        assert.ok(!by || !text.includes(by), "the key is not repeated");
        assert.equal((await world.upstream.requests()).length, before, "nothing reached the provider");
      });
    }
  });
}

test("more than 32 MB is refused before it is read", async () => {
  const before = (await world.upstream.requests()).length;
  const url = new URL(world.gateway.url);
  const upload = request({
    host: url.hostname,
    port: url.port,
    method: "POST",
    path: "/v1/messages",
    agent: false,
    headers: { "x-api-key": key, "anthropic-version": VERSION, "content-length": 33 * 1024 * 1024 },
  });
  const response = await new Promise((/** @type {(response: import("node:http").IncomingMessage) => void} */ resolve, reject) => {
    upload.once("response", resolve);
    upload.once("error", reject);
    // The head alone: the answer needs no more.
    upload.write("{");
  });
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  upload.on("error", () => {}).destroy();
  assert.equal(response.statusCode, 413, text);
  const { error } = JSON.parse(text);
  assert.equal(error.type, "request_too_large");
  assert.match(error.message, /32 MB/);
  assert.equal((await world.upstream.requests()).length, before);
});

test("a body that does not say its length is bounded, too", async () => {
  const megabyte = new Uint8Array(1024 * 1024).fill(0x20);
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent += 1;
      controller.enqueue(megabyte);
      if (sent === 40) controller.close();
    },
  });
  const response = await fetch(`${world.gateway.url}/v1/messages`, /** @type {any} */ ({
    method: "POST",
    headers: { "x-api-key": key, "anthropic-version": "2026-10-21", "content-type": "application/json" },
    body,
    duplex: "half",
  }));
  assert.equal(response.status, 413, await response.text());
});

test("a revoked key is refused, and no other", async () => {
  const { key: doomed, id } = await world.gateway.key("globex");
  const other = await world.key("globex");
  assert.equal((await world.post(doomed, ask("Hello"))).status, 200);
  const token = await world.gateway.token();
  const revoked = await fetch(`${world.gateway.url}/admin/keys/${id}`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${token}` },
  });
  assert.ok(revoked.ok, await revoked.text());
  const response = await world.post(doomed, ask("Hello"));
  assert.equal(response.status, 401);
  assert.match((await response.json()).error.message, /revoked/);
  assert.equal((await world.post(other, ask("Hello"))).status, 200);
});

test("nothing of all that was charged", async () => {
  const { limits } = await world.get(key, "/v1/limits");
  const budgets = limits.filter((/** @type {any} */ limit) => /_day$/.test(limit.kind));
  assert.equal(budgets.length, 3, JSON.stringify(limits));
  for (const { kind, level, capacity } of budgets) assert.equal(level, capacity, kind);
});

test("nothing of keys and prompts is in a log", async () => {
  const logs = world.gateway.logs().join("\n");
  for (const secret of [PROMPT, key, world.secret, "sk-ant-emulator", "XYZZY"]) {
    assert.ok(!logs.includes(secret), secret.slice(0, 12));
  }
});

/**
 * The same signature under another tenant's name.
 *
 * @param {string} key
 */
function tampered(key) {
  const bytes = Buffer.from(key.slice("tg_sk_".length), "base64url");
  bytes[3] ^= 1;
  return `tg_sk_${bytes.toString("base64url")}`;
}
