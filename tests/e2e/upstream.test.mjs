// What the provider does wrong, and what the client sees of it.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { ask, MODEL, open } from "./world.mjs";

/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let key;

before(async () => {
  world = await open();
  key = await world.key();
});
after(() => world?.close());
beforeEach(() => world.upstream.reset());

for (const what of ["429-requests", "429-input", "429-output", "429-ramp"]) {
  test(`${what} before the first byte goes back to the queue and never to the client`, async () => {
    // A pool of its own: what was learned of a refusal holds for a while.
    const model = { "429-requests": MODEL, "429-input": "claude-opus-5-5", "429-output": "claude-haiku-5-5" }[what] ?? "claude-sonnet-5";
    for (const stream of [false, true]) {
      await world.upstream.faults([{ what, next: 2, retry_after_s: 1 }]);
      const response = await world.post(key, ask("Hello", { model, stream }));
      const text = await response.text();
      assert.equal(response.status, 200, text);
      assert.ok(Number(response.headers.get("x-tollgate-attempts")) >= 2, "it says how many attempts it took");
      assert.ok(!text.includes("rate_limit_error"));
    }
  });
}

for (const [what, status, type] of /** @type {const} */ ([
  ["400-spend", 400, "invalid_request_error"],
  ["402", 402, "billing_error"],
  ["403", 403, "permission_error"],
  ["413", 413, "request_too_large"],
  ["500", 500, "api_error"],
  ["503", 503, "api_error"],
  ["504", 504, "timeout_error"],
  ["529", 529, "overloaded_error"],
])) {
  test(`${what} passes with its status, body and retry headers, and is tried once`, async () => {
    await world.upstream.faults([{ what, retry_after_s: 7 }]);
    const response = await world.post(key, ask("Hello"));
    assert.equal(response.status, status);
    const { error } = await response.json();
    assert.equal(error.type, type);
    if (what === "529") assert.equal(response.headers.get("retry-after"), "7");
    await world.upstream.faults([]);
    assert.equal((await world.post(key, ask("Hello"))).status, 200, "the next request works");
  });
}

test("the provider's refusal of our own key is not told as the client's", async () => {
  await world.upstream.faults([{ what: "401", next: 1 }]);
  const response = await world.post(key, ask("Hello"));
  const text = await response.text();
  assert.ok(response.status >= 400, text);
  assert.ok(!text.includes("sk-ant-emulator"));
});

test("an HTML error of the provider's front passes as it is", async () => {
  await world.upstream.faults([{ what: "413-html", next: 1 }]);
  const response = await world.post(key, ask("Hello"));
  assert.equal(response.status, 413);
  await response.text();
});

test("a spend cap is told at once, and holds the account without asking again", async () => {
  // The last of its pool's tests: the account stays tripped, so it has a world of its own.
  const own = await open();
  try {
    const ownKey = await own.key();
    await own.upstream.faults([{ what: "429-spend", next: 1 }]);
    for (const _ of [1, 2]) {
      const response = await own.post(ownKey, ask("Hello"), { headers: { "x-tollgate-max-wait": "5" } });
      assert.equal(response.status, 429, await response.text());
      assert.equal(response.headers.get("x-should-retry"), "false");
    }
    assert.equal((await own.stats()).granted ?? 0, 0);
  } finally {
    await own.close();
  }
});

test("a connection that closes without an answer is not tried again: it may have been charged", async () => {
  await world.upstream.faults([{ what: "outage", next: 1 }]);
  const response = await world.post(key, ask("Hello"));
  assert.equal(response.status, 502, await response.text());
  assert.equal((await world.upstream.requests()).length, 1);
});

test("a provider that refuses connections is told with a time to come back", async () => {
  const own = await open();
  try {
    const ownKey = await own.key();
    await own.upstream.stop();
    const response = await own.post(ownKey, ask("Hello"));
    assert.ok(response.status >= 502, await response.text());
    assert.ok(Number(response.headers.get("retry-after")) > 0);
  } finally {
    await own.close();
  }
});

test("an outage is an error in the provider's shape, and ends", async () => {
  await world.upstream.faults([{ what: "outage" }]);
  const response = await world.post(key, ask("Hello"));
  assert.ok(response.status >= 500, String(response.status));
  assert.equal((await response.json()).type, "error");
  await world.upstream.faults([]);
  assert.equal((await world.post(key, ask("Hello"))).status, 200);
});

test("unknown events of the provider reach the client", async () => {
  const response = await world.post(key, ask("Hello", { stream: true }, "fault=unknown-event"));
  const text = await response.text();
  assert.match(text, /message_stop/);
  const known = /^event: (message_start|content_block_start|ping|content_block_delta|content_block_stop|message_delta|message_stop)$/;
  assert.ok(text.split("\n").some((line) => line.startsWith("event: ") && !known.test(line)), text);
});
