// A customer's server: it knows who is signed in, mints a visitor token for them,
// and serves a page that talks to the gate by itself. No dependency.
//
//     GATE=http://127.0.0.1:8787 TOLLGATE_KEY=tg_sk_… PORT=3000 node examples/visitors/server.mjs
//
// The tenant needs a table `publishable` with this page's origin (README.md).

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { GATE = "http://127.0.0.1:8787", TOLLGATE_KEY, PORT = "3000" } = process.env;
if (!TOLLGATE_KEY) {
  console.error("TOLLGATE_KEY is missing: `make key TENANT=NAME` prints one");
  process.exit(1);
}
const page = await readFile(new URL("page.html", import.meta.url));

const server = createServer(async (request, response) => {
  try {
    if (request.method === "GET" && request.url === "/") {
      const user = cookie(request) ?? randomUUID();
      response.setHeader("set-cookie", `visitor=${user}; HttpOnly; SameSite=Strict; Path=/`);
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(page);
    } else if (request.method === "POST" && request.url === "/token") {
      // Only for whoever opened the page: a real application asks its session.
      const user = cookie(request);
      if (!user) return void response.writeHead(401).end();
      const { token, expires_ms } = await mint(user);
      response.setHeader("content-type", "application/json");
      response.setHeader("cache-control", "no-store");
      response.end(JSON.stringify({ token, expires_ms, gate: GATE }));
    } else {
      response.writeHead(404).end();
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    response.writeHead(502).end();
  }
});
server.listen(Number(PORT), "127.0.0.1", () => {
  const address = server.address();
  console.log(`ready http://127.0.0.1:${typeof address === "object" ? address?.port : PORT}`);
});

/**
 * For ten minutes and 20,000 tokens, whichever ends first.
 *
 * @param {string} user
 * @returns {Promise<{token: string, expires_ms: number}>}
 */
async function mint(user) {
  const answer = await fetch(`${GATE}/v1/visitors`, {
    method: "POST",
    headers: { "x-api-key": String(TOLLGATE_KEY), "content-type": "application/json" },
    body: JSON.stringify({ user, ttl_s: 600, tokens: 20_000 }),
  });
  if (!answer.ok) throw new Error(`the gate answers ${answer.status}: ${await answer.text()}`);
  return /** @type {Promise<any>} */ (answer.json());
}

/** @param {import("node:http").IncomingMessage} request */
function cookie(request) {
  return request.headers.cookie?.match(/(?:^|; )visitor=([0-9a-f-]{36})/)?.[1];
}
