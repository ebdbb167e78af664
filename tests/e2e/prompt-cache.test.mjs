// What the provider reads from its prompt cache is outside its input limit: ten
// times as many such prompts go as the limit says, and each costs what it should.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, open, until } from "./world.mjs";

const ITPM = 40_000;
/** Some 8,000 tokens: the limit holds four of it. */
const RULES = "a rule of the house, and what it means. ".repeat(550);
/** At once, by clients that wait a second. */
const REQUESTS = 50;
/** USD a million tokens, which is microdollars a token (crates/providers/data/prices.toml). */
const PRICE = { input: 2, output: 10, write: 2.5, writeHour: 4, read: 0.1 };

/** @type {import("./world.mjs").World} */
let world;
before(async () => {
  const limits = { rpm: 100_000, itpm: ITPM, otpm: 10_000_000 };
  const flags = ["--rpm", "100000", "--itpm", String(ITPM), "--otpm", "10000000", "--ttft-ms", "50", "--tokens-per-s", "500"];
  world = await open({ flags, account: { limits: { "*": limits } } });
});
after(() => world?.close());

/**
 * @param {string} question
 * @param {string} [ttl]
 * @param {string} [rules]
 */
function asked(question, ttl = "5m", rules = RULES) {
  const cache_control = { type: /** @type {const} */ ("ephemeral"), ttl: /** @type {"5m" | "1h"} */ (ttl) };
  return ask(question, { system: [{ type: "text", text: rules, cache_control }] }, "output-tokens=20");
}

test("what is read from the provider's cache does not use up the input limit", async () => {
  const sdk = await world.sdk();
  const first = await sdk.messages.create(asked("Which rule is first?"));
  assert.ok(Number(first.usage.cache_creation_input_tokens) > ITPM / 6);
  const second = await sdk.messages.create(asked("Which rule is second?"));
  assert.equal(second.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens);
  // What was learned of it reaches the Gate with the settlement.
  await until(async () => (await world.admin("GET", "/admin/config")).gate.open === 0);
  const answers = await Promise.all(
    Array.from({ length: REQUESTS }, (_, i) =>
      sdk.messages.create(asked(`And rule ${i}?`), { headers: { "x-tollgate-max-wait": "1" } }),
    ),
  );
  const inputs = answers.map(({ usage }) => Number(usage.cache_read_input_tokens) + usage.input_tokens);
  const total = inputs.reduce((sum, input) => sum + input, 0);
  console.log(`prompt cache: ${total} input tokens at once, ${ITPM} a minute`);
  assert.ok(total > 9 * ITPM, String(total));
  const stats = await world.stats();
  assert.equal(stats.refused_input + stats.refused_requests + stats.refused_output, 0);
  assert.equal(stats.granted, REQUESTS + 2);
});

test("a prompt that nobody sent before is held back until the input limit has room for it", async () => {
  await world.upstream.reset();
  const key = await world.key();
  // Ten prompts of a fifth of the limit, each another: they cannot all go at once.
  const statuses = await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      const response = await world.post(key, asked("Which?", "5m", `House ${i}. ${RULES}`), {
        headers: { "x-tollgate-max-wait": "1" },
      });
      await response.text();
      return response.status;
    }),
  );
  assert.ok(statuses.includes(200) && statuses.includes(429), statuses.join(" "));
  assert.equal((await world.stats()).refused_input, 0);
});

test("what is written to the cache and what is read costs its own price", async () => {
  const key = await world.key();
  for (const [ttl, write] of /** @type {const} */ ([
    ["5m", PRICE.write],
    ["1h", PRICE.writeHour],
  ])) {
    await world.upstream.reset();
    for (const reads of [false, true]) {
      const body = asked("What does it cost?", ttl, `Kept for ${ttl}. ${RULES.slice(0, 8_000)}`);
      const response = await world.post(key, body);
      const { usage } = await response.json();
      assert.equal(usage.cache_read_input_tokens > 0, reads, JSON.stringify(usage));
      assert.equal(usage.cache_creation_input_tokens > 0, !reads);
      const cost =
        usage.input_tokens * PRICE.input +
        usage.output_tokens * PRICE.output +
        usage.cache_creation_input_tokens * write +
        usage.cache_read_input_tokens * PRICE.read;
      const told = Number(response.headers.get("x-tollgate-cost-microusd"));
      assert.ok(Math.abs(told - cost) <= 1, `${told} and not ${cost}: ${JSON.stringify(usage)}`);
    }
  }
});
