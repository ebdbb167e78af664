// Migrates a SQLite database in steps, each of which asks a model.
//
// The articles of a blog get a column `summary`: first the schema, then one
// article a step. A step is applied with the note that it was in one transaction,
// so a migration that is run again goes on where it stopped. But it should not
// stop: half a migration is worse than none. So it first reserves a budget for
// all of its steps (POST /v1/jobs), and does not begin where that is refused.
//
//   TOLLGATE_KEY=tg_sk_… node examples/migration/migrate.mjs blog.db [http://127.0.0.1:8787]

import { DatabaseSync } from "node:sqlite";
import Anthropic from "@anthropic-ai/sdk";

/** The longest summary. */
const MAX_TOKENS = 200;
/** Beside the article itself: the question, and what the API adds. */
const PROMPT_TOKENS = 300;
/** For one of so many steps a second attempt is reserved: one that broke is charged, too. */
const STEPS_A_RETRY = 20;
/** The job lives so long after its last renewal. */
const TTL_S = 3_600;
/** The dearest of Claude's prices, dollars a million tokens of output, rounded up: what is not used goes back. */
const USD_PER_MTOK = 100;

/**
 * What all remaining steps can use at most, some of them twice: a token has at least a byte.
 *
 * @param {DatabaseSync} db
 */
export function plan(db) {
  const done = hasBegun(db) ? "WHERE id NOT IN (SELECT article FROM migration)" : "";
  const steps = /** @type {{id: number, body: string}[]} */ (
    /** @type {unknown} */ (db.prepare(`SELECT id, body FROM articles ${done} ORDER BY id`).all())
  );
  const sizes = steps.map(({ body }) => Buffer.byteLength(body) + PROMPT_TOKENS + MAX_TOKENS);
  const retries = Math.ceil(steps.length / STEPS_A_RETRY);
  const tokens = sizes.reduce((sum, size) => sum + size, 0) + retries * sizes.reduce((most, size) => Math.max(most, size), 0);
  return { steps, needs: { requests: steps.length + retries, tokens, usd: String(Math.ceil((tokens * USD_PER_MTOK) / 1e6)) } };
}

/**
 * @param {object} options
 * @param {DatabaseSync} options.db
 * @param {string} options.url the gate's
 * @param {string} options.key a secret key
 * @param {string} options.model
 * @param {boolean} [options.reserves] false: without a job, to see why one is good
 * @param {number} [options.ttl_s] of the job, seconds
 * @param {number} [options.maxRetries] of the SDK
 * @param {(done: number, of: number) => unknown} [options.step] called after each
 * @returns {Promise<number>} steps done; throws where the job is refused, with nothing changed
 */
export async function migrate({ db, url, key, model, reserves = true, ttl_s = TTL_S, maxRetries, step = () => {} }) {
  const { steps, needs } = plan(db);
  const job = reserves ? await reserve(url, key, { id: "summaries", ttl_s, ...needs }) : undefined;
  const client = new Anthropic({
    baseURL: url,
    apiKey: key,
    maxRetries,
    defaultHeaders: job && { "x-tollgate-job": job.id },
  });
  try {
    if (!hasBegun(db)) begin(db);
    let done = 0;
    for (const { id, body } of steps) {
      await job?.renew();
      const message = await client.messages.create({
        model,
        max_tokens: MAX_TOKENS,
        messages: [{ role: "user", content: `Summarise this article in one sentence.\n\n${body}` }],
      });
      const summary = message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
      apply(db, id, summary);
      await step(++done, steps.length);
    }
    return done;
  } finally {
    // What was not used serves others at once, and not only when the job expires.
    await job?.release();
  }
}

/**
 * Reserves what all steps need, and for as long as they take.
 *
 * @param {string} url
 * @param {string} key
 * @param {{id: string, ttl_s: number}} needs
 */
async function reserve(url, key, needs) {
  const headers = { "x-api-key": key, "content-type": "application/json" };
  const release = () => fetch(`${url}/v1/jobs/${needs.id}`, { method: "DELETE", headers });
  // With the same id and amounts it reserves nothing twice, and renews.
  const post = async () => {
    const response = await fetch(`${url}/v1/jobs`, { method: "POST", headers, body: JSON.stringify(needs) });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error.message);
    return performance.now() + (needs.ttl_s * 1000) / 2;
  };
  // A run that was killed left its job, of which its steps have used a part.
  await release();
  let renewsAt = await post();
  const renew = async () => {
    if (performance.now() >= renewsAt) renewsAt = await post();
  };
  return { id: needs.id, renew, release };
}

/** @param {DatabaseSync} db */
const hasBegun = (db) => db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").get() !== undefined;

/** @param {DatabaseSync} db */
function begin(db) {
  transaction(db, () => {
    db.exec("ALTER TABLE articles ADD COLUMN summary TEXT");
    db.exec("CREATE TABLE migration (article INTEGER PRIMARY KEY) STRICT");
  });
}

/**
 * @param {DatabaseSync} db
 * @param {number} id
 * @param {string} summary
 */
function apply(db, id, summary) {
  transaction(db, () => {
    db.prepare("UPDATE articles SET summary = ? WHERE id = ?").run(summary, id);
    db.prepare("INSERT INTO migration (article) VALUES (?)").run(id);
  });
}

/**
 * @param {DatabaseSync} db
 * @param {() => void} change
 */
function transaction(db, change) {
  db.exec("BEGIN IMMEDIATE");
  try {
    change();
    db.exec("COMMIT");
  } catch (error) {
    db.exec("ROLLBACK");
    throw error;
  }
}

if (import.meta.main) {
  const [file, url = "http://127.0.0.1:8787"] = process.argv.slice(2);
  const key = process.env.TOLLGATE_KEY;
  if (!file || !key) {
    console.error("usage: TOLLGATE_KEY=tg_sk_… node examples/migration/migrate.mjs FILE.db [URL]");
    process.exit(2);
  }
  const done = await migrate({
    db: new DatabaseSync(file),
    url,
    key,
    model: process.env.MODEL ?? "claude-haiku-5-5",
    step: (n, of) => console.log(`${n} of ${of}`),
  });
  console.log(`migrated ${done} articles`);
}
