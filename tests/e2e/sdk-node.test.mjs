// The newest official SDK for JavaScript, unchanged but for base URL and key.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ask, MODEL, open, until } from "./world.mjs";

/** @type {import("./world.mjs").World} */
let world;
/** @type {Anthropic} */
let sdk;

before(async () => {
  world = await open();
  sdk = await world.sdk();
});
after(() => world?.close());
beforeEach(() => world.upstream.reset());

const WEATHER = {
  name: "get_weather",
  description: "The weather of a place",
  input_schema: { type: /** @type {const} */ ("object"), properties: { place: { type: "string" } }, required: ["place"] },
};

test("a message comes back with text and usage", async () => {
  const message = await sdk.messages.create(ask("Hello", {}, "output-tokens=20"));
  assert.equal(message.type, "message");
  assert.equal(message.model, MODEL);
  assert.equal(message.content[0].type, "text");
  assert.equal(message.usage.output_tokens, 20);
});

test("a stream yields every event in order, and the helper the whole message", async () => {
  const stream = sdk.messages.stream(ask("Tell me a story", {}, "output-tokens=40"));
  /** @type {string[]} */
  const types = [];
  stream.on("streamEvent", (event) => void types.push(event.type));
  let text = "";
  stream.on("text", (delta) => void (text += delta));
  const message = await stream.finalMessage();
  assert.equal(types[0], "message_start");
  assert.deepEqual(types.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
  const block = message.content[0];
  assert.equal(block.type === "text" && block.text, text);
  assert.equal(message.usage.output_tokens, 40);
});

test("a tool is called, its result answered, in both modes", async () => {
  for (const streaming of [false, true]) {
    const body = ask("What is the weather in Oslo?", { tools: [WEATHER], max_tokens: 200 }, "tool=get_weather");
    const first = streaming ? await sdk.messages.stream(body).finalMessage() : await sdk.messages.create(body);
    const call = first.content.find((block) => block.type === "tool_use");
    assert.ok(call?.type === "tool_use", JSON.stringify(first.content));
    assert.equal(call.name, "get_weather");
    assert.equal(first.stop_reason, "tool_use");
    const second = await sdk.messages.create({
      ...ask("", { tools: [WEATHER] }, "tool=none"),
      messages: [
        { role: "user", content: "What is the weather in Oslo?" },
        { role: "assistant", content: first.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "Rain" }] },
      ],
    });
    assert.equal(second.content[0].type, "text");
  }
});

test("thinking is streamed with its signature", async () => {
  const body = ask("Think", { max_tokens: 3000, thinking: { type: "enabled", budget_tokens: 1024 } }, "output-tokens=60;thinking-tokens=30");
  const message = await sdk.messages.stream(body).finalMessage();
  const [thinking, text] = message.content;
  assert.ok(thinking.type === "thinking" && thinking.signature.length > 0);
  assert.equal(text.type, "text");
});

test("both versions of the API are passed through unchanged", async () => {
  for (const version of ["2026-10-21", "2023-06-01"]) {
    await world.upstream.reset();
    await sdk.messages.create(ask("Hello"), { headers: { "anthropic-version": version } });
    const [last] = await world.upstream.requests();
    assert.match(JSON.stringify(last.headers), new RegExp(`"anthropic-version"[:,]"${version}"`));
  }
});

test("errors are the SDK's own classes, with type, message and request id", async () => {
  const cases = /** @type {const} */ ([
    [() => sdk.messages.create(ask("x", { model: "claude-nobody-9" })), Anthropic.NotFoundError, 404],
    [() => sdk.messages.create(/** @type {any} */ ({ model: MODEL, messages: [] })), Anthropic.BadRequestError, 400],
    [() => sdk.messages.create(ask("x", {}, "fault=403")), Anthropic.PermissionDeniedError, 403],
    [() => sdk.messages.create(ask("x", {}, "fault=500")), Anthropic.InternalServerError, 500],
    [() => sdk.messages.create(ask("x", {}, "fault=529")), Anthropic.InternalServerError, 529],
  ]);
  for (const [call, kind, status] of cases) {
    const error = /** @type {any} */ (
      await call().then(
        () => assert.fail(`${status} was expected`),
        (error) => error,
      )
    );
    assert.equal(error instanceof kind, true, `${status}: ${error}`);
    assert.equal(error.status, status);
    assert.equal(error.error?.type, "error");
    assert.ok(error.requestID, `${status} has a request id`);
  }
});

test("the SDK's own retries work: an overload twice, then the answer", async () => {
  const patient = await world.sdk("acme", { maxRetries: 2 });
  await world.upstream.faults([{ what: "529", next: 2, retry_after_s: 0 }]);
  const message = await patient.messages.create(ask("Hello"));
  assert.equal(message.type, "message");
});

test("an error in the middle of a stream is thrown by the SDK", async () => {
  await assert.rejects(
    async () => {
      const body = ask("x", {}, "fault=error-mid-stream;after=2");
      for await (const _ of await sdk.messages.create({ ...body, stream: true }));
    },
    (error) => error instanceof Anthropic.APIError && /overloaded_error/.test(JSON.stringify(error.error ?? error.message)),
  );
});

test("abort by the SDK stops the provider's generation", async () => {
  const stream = sdk.messages.stream(
    ask("Count", { max_tokens: 20000 }, "output-tokens=20000;tokens-per-s=50"),
  );
  await new Promise((resolve) => stream.once("text", resolve));
  stream.abort();
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
  const stats = await until(async () => {
    const seen = await world.stats();
    return seen.closed_early === 1 && seen;
  });
  assert.ok(stats.output_tokens < 20000);
});

test("count_tokens counts, and is not charged as a message", async () => {
  const { input_tokens } = await sdk.messages.countTokens({
    model: MODEL,
    messages: [{ role: "user", content: "How many tokens are these?" }],
  });
  assert.ok(input_tokens > 5 && input_tokens < 100, String(input_tokens));
});

test("models are listed and retrieved", async () => {
  const ids = [];
  for await (const model of sdk.models.list()) ids.push(model.id);
  assert.ok(ids.includes(MODEL), ids.join(" "));
  const model = await sdk.models.retrieve(MODEL);
  assert.ok((model.max_input_tokens ?? 0) > 100_000);
});

test("the key may also come as a Bearer token", async () => {
  const bearer = new Anthropic({ baseURL: world.gateway.url, apiKey: null, authToken: await world.key(), maxRetries: 0 });
  assert.equal((await bearer.messages.create(ask("Hello"))).type, "message");
});
