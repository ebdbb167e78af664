// The guard's parts by themselves: what is read of a call, of an answer, of a gate.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { askOf, callOf } from "../js/guard/call.js";
import { poller } from "../js/guard/poll.js";
import { answer } from "../js/guard/refusal.js";
import { watched } from "../js/guard/usage.js";
import { guard, init } from "./source.mjs";

before(() => init());

const BODY = { model: "claude-sonnet-5-5", max_tokens: 10, messages: [{ role: "user", content: "Hello" }] };
const URL_ = "https://gate.example.com/v1/messages";
const post = (/** @type {any} */ more = {}) => ({ method: "POST", body: JSON.stringify(BODY), ...more });

test("only calls that limits are for are looked at", () => {
  const is = (/** @type {string} */ url, init = post()) => callOf(url, init)?.api ?? null;
  assert.equal(is(URL_), "anthropic");
  assert.equal(is("https://api.openai.com/v1/chat/completions"), "openai");
  assert.equal(is("https://api.openai.com/v1/responses"), "openai");
  assert.equal(is(`${URL_}?beta=true`), "anthropic");
  for (const other of [`${URL_}/count_tokens`, "https://gate.example.com/v1/models", "not an address"]) assert.equal(is(other), null, other);
  assert.equal(is(URL_, { method: "GET" }), null);
});

test("a body is read in each form that can be read twice, and only those", async () => {
  const bytes = new TextEncoder().encode(JSON.stringify(BODY));
  const model = async (/** @type {RequestInfo | URL} */ input, /** @type {any} */ init) => {
    const call = callOf(input, init);
    return call && (await askOf(call, 0, null, true))?.model;
  };
  for (const body of [JSON.stringify(BODY), bytes, bytes.buffer, new Blob([bytes])]) assert.equal(await model(URL_, { method: "POST", body }), BODY.model);
  const request = new Request(URL_, post());
  assert.equal(await model(request, undefined), BODY.model);
  assert.equal(await request.text(), JSON.stringify(BODY), "the request itself is untouched");
  const stream = new Blob([bytes]).stream();
  assert.equal(await model(URL_, { method: "POST", body: stream, duplex: "half" }), undefined);
  assert.equal(stream.locked, false);
  for (const body of ["", "{", "null", "7", "{}", '{"model":5}', '{"model":"claude-sonnet-5-5","messages":[]}']) assert.equal(await model(URL_, { method: "POST", body }), undefined, body);
});

test("patience: the request's own word, then the guard's, then the longest that a gate grants", async () => {
  const of = async (/** @type {Record<string, string>} */ headers, /** @type {number | null} */ maxWait = null) => {
    const call = callOf(URL_, post({ headers }));
    return call && (await askOf(call, 0, maxWait, true))?.patienceMs;
  };
  assert.equal(await of({}), 600_000);
  assert.equal(await of({}, 20), 20_000);
  assert.equal(await of({ "x-tollgate-max-wait": "0" }, 20), 0);
  assert.equal(await of({ "x-tollgate-priority": "critical" }), 30_000);
  assert.equal(await of({ "x-stainless-timeout": "5.5" }, 20), 5_000);
  assert.equal(await of({ "x-tollgate-max-wait": "soon" }, 20), 20_000);
});

const EVENTS = [
  'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":100,"cache_creation_input_tokens":20,"cache_read_input_tokens":7,"output_tokens":1}}}\n\n',
  'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a \\"usage\\" of words"}}\n\n',
  'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":42}}\n\n',
  'event: message_stop\ndata: {"type":"message_stop"}\n\n',
].join("");

/** @param {string} text @param {string} type @param {number} [size] of its chunks */
async function through(text, type, size = 7) {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
  /** @type {any} */
  let used = "never told";
  const response = watched(new Response(body, { headers: { "content-type": type } }), (told) => (used = told));
  return { text: await response.text(), used };
}

test("a stream's usage is its last word, however it is cut; its bytes pass as they are", async () => {
  for (const size of [1, 5, 64, 10_000]) {
    const { text, used } = await through(EVENTS, "text/event-stream; charset=utf-8", size);
    assert.equal(text, EVENTS);
    assert.deepEqual(used, { input: 120, cacheWritten: 20, cacheRead: 7, output: 42, reported: true });
  }
});

test("a stream that broke off is settled by what came, and flagged", async () => {
  const cut = EVENTS.slice(0, EVENTS.indexOf("event: message_delta"));
  const { used } = await through(cut, "text/event-stream");
  assert.equal(used.reported, false);
  assert.ok(used.input === 120 && used.output > 20);
});

test("an answer in one piece; one without usage, garbage and other kinds teach nothing and pass", async () => {
  const whole = JSON.stringify({ usage: { input_tokens: 3, output_tokens: 4 } });
  assert.deepEqual((await through(whole, "application/json")).used, { input: 3, cacheWritten: 0, cacheRead: 0, output: 4, reported: true });
  // OpenAI's prompt has its cached tokens in it: a budget must not take them twice.
  const cached = JSON.stringify({ usage: { prompt_tokens: 100, completion_tokens: 5, total_tokens: 105, prompt_tokens_details: { cached_tokens: 64 } } });
  assert.deepEqual((await through(cached, "application/json")).used, { input: 100, cacheWritten: 0, cacheRead: 0, output: 5, reported: true });
  for (const [text, type] of [["{}", "application/json"], ["{", "application/json"], ['{"usage":7}', "application/json"], ["data: {\"usage\": nonsense}\n\n", "text/event-stream"], ["<p>", "text/html"]]) {
    const told = await through(text, type);
    assert.deepEqual([told.text, told.used], [text, null]);
  }
});

test("who gives a stream up settles it, once, and the source is cancelled", async () => {
  let cancelled = 0;
  let told = 0;
  const body = new ReadableStream({ pull: (controller) => controller.enqueue(new TextEncoder().encode(EVENTS)), cancel: () => void (cancelled += 1) });
  const reader = watched(new Response(body, { headers: { "content-type": "text/event-stream" } }), () => (told += 1)).body?.getReader();
  await reader?.read();
  await reader?.cancel();
  assert.deepEqual([cancelled, told], [1, 1]);
});

const LIMITS = { version: 1, at_ms: 5, models: {}, limits: [], next_poll_ms: 5_000 };

test("a gate is asked with the last answer's tag, one call at a time, and slower while it fails", async () => {
  let now = 1_000;
  let failing = false;
  /** @type {(string | null)[]} */
  const tags = [];
  const fetch = async (/** @type {any} */ _, /** @type {any} */ init) => {
    tags.push(new Headers(init.headers).get("if-none-match"));
    if (failing) throw new TypeError("offline");
    return tags.length === 1 ? Response.json(LIMITS, { headers: { etag: '"a"' } }) : new Response(null, { status: 304 });
  };
  const poll = poller(new URL("https://g/v1/limits"), {}, /** @type {any} */ (fetch), () => now);
  const [one, two] = await Promise.all([poll(), poll()]);
  assert.equal(one, two);
  now = 3_000;
  const same = await poll();
  assert.deepEqual([same.heardMs, same.gateMs], [3_000, 5]);
  assert.deepEqual(tags, [null, '"a"']);
  failing = true;
  const asked = [];
  for (now = 10_000; now < 40_000; now += 500) {
    const before = tags.length;
    await assert.rejects(poll(), /offline/);
    if (tags.length > before) asked.push(now);
  }
  assert.deepEqual(asked, [10_000, 11_000, 13_000, 17_000, 25_000]);
});

test("a gate that answers what is none is a failure: garbage, errors, redirects, without end", async () => {
  const url = new URL("https://g/v1/limits");
  for (const response of [new Response("<html>"), new Response("{}"), new Response("no", { status: 401 }), Response.redirect("https://elsewhere/", 302), new Response("7".repeat(2 << 20))])
    await assert.rejects(poller(url, {}, async () => response, () => 0)());
  await assert.rejects(poller(url, {}, async () => new Response(null, { status: 304 }), () => 0)(), /304/);
});

test("refusals in both APIs' JSON", async () => {
  const refusal = { status: 429, type: "rate_limit_error", code: "tollgate_tenant_limit", message: "No.", retryAfterMs: 1_200.4, limit: null };
  const anthropic = answer(refusal, "anthropic");
  assert.deepEqual(["retry-after", "retry-after-ms", "x-should-retry", "x-tollgate-local"].map((name) => anthropic.headers.get(name)), ["2", "1201", "true", "1"]);
  const { request_id, ...body } = await anthropic.json();
  assert.match(request_id, /^tgl_[0-9a-f]{24}$/);
  assert.deepEqual(body, { type: "error", error: { type: "rate_limit_error", message: "No. (docs/errors.md#tollgate_tenant_limit)", details: { error_code: "tollgate_tenant_limit" } } });
  const openai = answer({ ...refusal, code: "tollgate_not_yet", retryAfterMs: null }, "openai");
  assert.equal(openai.headers.get("retry-after"), null);
  assert.equal(openai.headers.get("x-should-retry"), "false");
  assert.deepEqual((await openai.json()).error, { message: "No. (docs/browser.md#tollgate_not_yet)", type: "rate_limit_error", param: null, code: "tollgate_not_yet" });
});

test("the gate is told the guard's patience, unless the request has its own; nothing else of a call is touched", async () => {
  /** @type {(string | null)[][]} */
  const seen = [];
  const fetch = async (/** @type {any} */ input, /** @type {any} */ init) => {
    if (String(input).endsWith("/limits")) return Response.json(LIMITS);
    const headers = new Headers(init.headers);
    seen.push([headers.get("x-tollgate-max-wait"), headers.get("x-api-key"), init.body]);
    return Response.json({});
  };
  const guarded = guard({ limits: "https://gate.example.com/v1/limits", maxWait: 7, fetch: /** @type {any} */ (fetch) });
  await guarded(URL_, post({ headers: { "x-api-key": "k" } }));
  await guarded(new Request(URL_, post({ headers: { "x-api-key": "k" } })), { body: "{}", method: "POST" });
  await guarded(URL_, post({ headers: { "x-api-key": "k", "x-tollgate-max-wait": "3" } }));
  const body = JSON.stringify(BODY);
  assert.deepEqual(seen, [["7", "k", body], ["7", "k", "{}"], ["3", "k", body]]);
});

test("every code that the guard says has its row in the page that it points to", async () => {
  const { readdir, readFile } = await import("node:fs/promises");
  const read = (/** @type {string} */ file) => readFile(new URL(file, import.meta.url), "utf8");
  const sources = await Promise.all((await readdir(new URL("../js/guard", import.meta.url))).map((file) => read(`../js/guard/${file}`)));
  const codes = new Set(sources.join("\n").match(/(?<=")tollgate_[a-z_]+(?=")/g));
  assert.ok(codes.size >= 8);
  for (const code of codes) {
    const refusal = { status: 429, type: "rate_limit_error", code, message: "", retryAfterMs: null, limit: null };
    const [, page] = (await answer(refusal, "anthropic").json()).error.message.match(/\((docs\/\w+\.md)#/);
    assert.ok((await read(`../../${page}`)).includes(`<a id="${code}"></a>`), `${code} in ${page}`);
  }
});

test("options that mean nothing are refused where they are given", () => {
  /** @type {[any, RegExp][]} */
  const table = [
    [{ limits: undefined }, /limits must be/],
    [{ limits: null }, /limits must be/],
    [{ limits: "not an address" }, /no address/],
    [{ limits: { rpm: 1 }, maxWait: -1 }, /maxWait/],
    [{ limits: { rpm: 1 }, maxWait: 1.5 }, /maxWait/],
    [{ limits: { rpm: 1 }, whenUnknown: "maybe" }, /whenUnknown/],
    [{ limits: { rpm: 0 } }, /limits\.rpm/],
    [{ limits: { rpm: 1 }, staleMs: NaN }, /staleMs/],
    [{ limits: { rpm: 1 }, staleMs: -1 }, /staleMs/],
    [{ limits: { windows: 5 } }, /limits\.windows must/],
    [{ limits: { windows: { "gpt-5": "large" } } }, /limits\.windows\.gpt-5 must/],
  ];
  for (const [options, words] of table) assert.throws(() => guard(options), words);
});

test("a model that is called as what every object knows is sent like any other", async () => {
  const guarded = guard({ limits: { rpm: 100 }, fetch: async () => Response.json({}) });
  for (const model of ["constructor", "__proto__", "toString"]) {
    const body = `{"model":"${model}","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}`;
    assert.equal((await guarded(URL_, { method: "POST", body })).status, 200, model);
  }
});

test("a request of OpenAI's that cannot be counted is sent uncounted, and keeps the limits that need no count", async () => {
  const broken = () => {
    throw new Error("it was closed");
  };
  /** @type {string[]} */
  const unchecked = [];
  const guarded = guard({ limits: { requests_day: 1 }, tokenizers: { closed: { count: broken } }, onUnchecked: ({ reason }) => unchecked.push(reason), fetch: async () => Response.json({}) });
  const call = () => guarded("https://api.openai.com/v1/responses", { method: "POST", body: JSON.stringify({ model: "closed", input: "Hi" }) });
  assert.deepEqual([(await call()).status, (await call()).status, unchecked], [200, 429, ["not_measured", "not_measured"]]);
});

test("where there is no fetch, the guard says what to give it", async (t) => {
  t.mock.property(globalThis, "fetch", undefined);
  await assert.rejects(guard({ limits: { rpm: 1 } })(URL_, post()), /^TypeError: guard: there is no fetch here; give one/);
});

test("a callback that throws changes nothing, and a closed guard lets everything pass", async (t) => {
  const errors = t.mock.method(console, "error", () => {});
  let sent = 0;
  const guarded = guard({
    limits: { requests_day: 1 },
    onRefuse: () => {
      throw new Error("the app's own mistake");
    },
    fetch: async () => (sent++, Response.json({})),
  });
  const statuses = [await guarded(URL_, post()), await guarded(URL_, post())].map(({ status }) => status);
  assert.deepEqual([statuses, sent, errors.mock.callCount()], [[200, 429], 1, 1]);
  guarded.close();
  assert.equal((await guarded(URL_, post())).status, 200);
});
