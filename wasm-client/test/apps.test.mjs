// The packed tarball in apps as people build them: Vite, webpack and Next.js, each
// built for production, served, and looked at in Chromium; and OpenAI's SDK.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { launch, noChromium } from "../../tests/browser/chromium.mjs";
import { ANSWER, puppet } from "../../tests/e2e/puppet.mjs";
import { splitLines } from "../../tests/serve/serve.mjs";
import { bundled, project, workerd } from "./pack.mjs";
import { guard, init, load } from "./source.mjs";

/** Where scripts/setup put them. */
const APPS = process.env.APPS_ENV ?? "";
const options = { skip: APPS ? noChromium : "APPS_ENV is not set: run it by scripts/test" };
const TEXT = "The gate decides, the worker carries.";

/** @type {import("playwright-core").Browser} */
let browser;
/** What a server counts. @type {string} */
let expected;
/** What every app must show: the same, and what its web worker counts. @type {string} */
let expectedInApp;

before(async () => {
  await init();
  const { Tiktoken } = await import("./tiktoken.mjs");
  const claude = (await load("claude-sonnet-5-5")).measure({ messages: [{ role: "user", content: TEXT }] }).estimate;
  expected = `${claude} ${Tiktoken("o200k_base").encode_ordinary(TEXT).length}`;
  expectedInApp = `${expected} ${claude}`;
  if (!options.skip) browser = await launch();
});
after(() => browser?.close());

const HOOK = `
  import { createElement, useEffect, useState } from "react";
  import { load } from "tollgate";
  import { useTokenCount } from "tollgate/react";
  import { loadInWorker } from "tollgate/worker";
  export default function Count() {
    const { measure } = useTokenCount(${JSON.stringify(TEXT)});
    const [others, setOthers] = useState(null);
    useEffect(() => {
      const inWorker = loadInWorker("claude-sonnet-5-5").then((counter) => counter.measure({ messages: [{ role: "user", content: ${JSON.stringify(TEXT)} }] }));
      Promise.all([load("o200k_base"), inWorker]).then(([{ count }, { estimate }]) => setOthers([count(${JSON.stringify(TEXT)}), estimate]), (error) => console.error(error));
    }, []);
    return createElement("output", null, measure && others ? [measure.estimate, ...others].join(" ") : "…");
  }`;
const MAIN = `import { createElement } from "react"; import { createRoot } from "react-dom/client"; import Count from "./count.jsx";
  createRoot(document.getElementById("app")).render(createElement(Count));`;

/**
 * What the app shows once it has counted, and what its page complained of.
 *
 * @param {string} url
 */
async function shown(url) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  try {
    await page.goto(url);
    const output = page.locator("output").filter({ hasText: /\d/ });
    await output.waitFor().catch(() => assert.fail(`nothing is counted: ${complaints.join("\n")}`));
    return { text: await output.textContent(), complaints };
  } finally {
    await page.close();
  }
}

/** Serves a built directory as any static server does. @param {string} dir */
async function served(dir) {
  const types = /** @type {Record<string, string>} */ ({ ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" });
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://app");
    const file = pathname === "/" ? "index.html" : pathname === "/favicon.ico" ? "index.html" : pathname.slice(1);
    readFile(path.join(dir, file)).then(
      (body) => response.writeHead(200, { "content-type": types[path.extname(file)] ?? "application/octet-stream" }).end(body),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/`, close: () => (server.close(), server.closeAllConnections()) };
}

/** A built directory shows what it must. @param {string} dir */
async function counts(dir) {
  const site = await served(dir);
  try {
    assert.deepEqual(await shown(site.url), { text: expectedInApp, complaints: [] });
  } finally {
    site.close();
  }
}

/** @param {string} name */
const bin = (name) => path.join(APPS, "node_modules/.bin", name);

test("Vite", options, async () => {
  const app = await project(APPS);
  try {
    await app.write("index.html", '<!doctype html><html lang="en"><title>App</title><div id="app"></div><script type="module" src="/main.jsx"></script>');
    await app.write("main.jsx", MAIN);
    await app.write("count.jsx", HOOK);
    const built = await app.run(bin("vite"), ["build", "--logLevel", "warn"]);
    assert.equal(built.code, 0, built.err);
    await counts(path.join(app.dir, "dist"));
  } finally {
    await app.remove();
  }
});

test("React's strict mode, whose effects run twice: the hook counts, changes its model, and says what is wrong", options, async () => {
  const app = await project(APPS);
  try {
    await app.write("index.html", '<!doctype html><html lang="en"><title>App</title><div id="app"></div><script type="module" src="/main.jsx"></script>');
    await app.write(
      "main.jsx",
      `import { createElement, StrictMode, useEffect, useState } from "react"; import { createRoot } from "react-dom/client"; import { useTokenCount } from "tollgate/react";
       const MODELS = ["claude-haiku-4-5", "claude-9", "claude-sonnet-5-5"];
       const seen = [];
       function Count() {
         const [at, setAt] = useState(0);
         const { status, measure, error } = useTokenCount(${JSON.stringify(TEXT)}, MODELS[at]);
         useEffect(() => {
           if (status === "loading") return;
           seen[at] = error?.code ?? measure.model;
           if (at < 2) setAt(at + 1);
         });
         return createElement("output", null, at === 2 && measure?.model === MODELS[2] ? seen.join(" ") + " " + measure.estimate : "…");
       }
       createRoot(document.getElementById("app")).render(createElement(StrictMode, null, createElement(Count)));`,
    );
    const built = await app.run(bin("vite"), ["build", "--mode", "development", "--logLevel", "warn"], { env: { NODE_ENV: "development" } });
    assert.equal(built.code, 0, built.err);
    const site = await served(path.join(app.dir, "dist"));
    try {
      const { text, complaints } = await shown(site.url);
      assert.match(String(text), /^claude-haiku-4-5 unknown_model \d+$/);
      assert.deepEqual(complaints, []);
    } finally {
      site.close();
    }
  } finally {
    await app.remove();
  }
});

test("React: a text is measured once for each model, whoever else renders; a request by what it says", options, async () => {
  const app = await project(APPS);
  try {
    await app.write("index.html", '<!doctype html><html lang="en"><title>App</title><div id="app"></div><script type="module" src="/main.jsx"></script>');
    await app.write(
      "main.jsx",
      `import { createElement, useEffect, useState } from "react"; import { createRoot } from "react-dom/client"; import { useTokenCount } from "tollgate/react";
       const TYPED = ["One", "One two", "One two three"];
       const measures = { text: new Set(), request: new Set() };
       const told = [];
       function Count() {
         const [renders, setRenders] = useState(0);
         const typed = TYPED[Math.floor(renders / 10)];
         const text = useTokenCount(typed);
         const request = useTokenCount({ system: "Be kind.", messages: [{ role: "user", content: typed }] });
         const broken = useTokenCount({ messages: [{ role: "user", content: 1n }] });
         useEffect(() => {
           if (text.status !== "ready" || request.status !== "ready") return;
           measures.text.add(text.measure);
           measures.request.add(request.measure);
           // Not counted yet: React renders again when it is.
           if (Math.min(measures.text.size, measures.request.size) <= Math.floor(renders / 10)) return;
           if (renders % 10 === 9) told.push(text.measure.estimate < request.measure.estimate, broken.error?.code);
           if (renders < 29) setRenders(renders + 1);
           else document.querySelector("output").textContent = [measures.text.size, measures.request.size, ...told].join(" ");
         });
         return createElement("output", null, "…");
       }
       createRoot(document.getElementById("app")).render(createElement(Count));`,
    );
    const built = await app.run(bin("vite"), ["build", "--logLevel", "warn"]);
    assert.equal(built.code, 0, built.err);
    const site = await served(path.join(app.dir, "dist"));
    try {
      const { text, complaints } = await shown(site.url);
      assert.equal(text, `3 3${" true bad_request".repeat(3)}`);
      assert.deepEqual(complaints, []);
    } finally {
      site.close();
    }
  } finally {
    await app.remove();
  }
});

test("webpack", options, async () => {
  const app = await project(APPS);
  try {
    await app.write("main.js", MAIN.replace("./count.jsx", "./count.js"));
    await app.write("count.js", HOOK);
    await app.write(
      "build.cjs",
      `const webpack = require("webpack");
       webpack({ mode: "production", context: __dirname, entry: "./main.js", output: { path: __dirname + "/dist", filename: "main.js" }, performance: false }, (error, stats) => {
         const { errors = [], warnings = [] } = stats?.toJson({ all: false, errors: true, warnings: true }) ?? {};
         console.log(JSON.stringify([error, ...errors, ...warnings].filter(Boolean).map(({ message }) => message)));
       });`,
    );
    const built = await app.run(process.execPath, ["build.cjs"]);
    assert.deepEqual([built.code, built.out.trim()], [0, "[]"], built.err);
    await app.write("dist/index.html", '<!doctype html><html lang="en"><title>App</title><div id="app"></div><script src="/main.js" defer></script>');
    await counts(path.join(app.dir, "dist"));
  } finally {
    await app.remove();
  }
});

test("Next.js, app router: counted in a server component and in a client component", options, async () => {
  const app = await project(APPS);
  try {
    await app.write("next.config.mjs", `export default { turbopack: { root: ${JSON.stringify(APPS)} } };`);
    await app.write("public/favicon.ico", "");
    await app.write("app/layout.js", 'export default ({ children }) => <html lang="en"><body>{children}</body></html>;');
    await app.write("app/count.js", `"use client";${HOOK}`);
    await app.write(
      "app/page.js",
      `import { load } from "tollgate"; import Count from "./count";
       export const dynamic = "force-dynamic";
       export default async function Page() {
         const [claude, o200k] = await Promise.all([load("claude-sonnet-5-5"), load("o200k_base")]);
         const { estimate } = claude.measure({ messages: [{ role: "user", content: ${JSON.stringify(TEXT)} }] });
         return <><p id="server">{estimate + " " + o200k.count(${JSON.stringify(TEXT)})}</p><Count /></>;
       }`,
    );
    const env = { NEXT_TELEMETRY_DISABLED: "1" };
    const built = await app.run(bin("next"), ["build"], { env });
    assert.equal(built.code, 0, built.out + built.err);
    const server = spawn(process.execPath, [path.join(APPS, "node_modules/next/dist/bin/next"), "start", "--port", "0", "--hostname", "127.0.0.1"], { cwd: app.dir, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
    const gone = new Promise((resolve) => server.once("close", resolve));
    try {
      const url = await new Promise((resolve, reject) => {
        void gone.then(() => reject(new Error("next start ended")));
        let local = "";
        splitLines(server.stdout, (line) => {
          local ||= line.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0] ?? "";
          if (/Ready in/.test(line)) resolve(local);
        });
      });
      const html = await (await fetch(url)).text();
      assert.match(html, new RegExp(`<p id="server">${expected}</p>`));
      assert.deepEqual(await shown(url), { text: expectedInApp, complaints: [] });
    } finally {
      server.kill("SIGTERM");
      await gone;
    }
  } finally {
    await app.remove();
  }
});

test("Vercel's edge runtime: counts, guards and reads a tokenizer, with modules that were compiled before", { skip: !APPS && options.skip }, async () => {
  const { EdgeRuntime } = createRequire(path.join(APPS, "package.json"))("edge-runtime");
  const app = await project();
  try {
    const small = { version: "1.0", added_tokens: [], pre_tokenizer: { type: "Whitespace" }, model: { type: "WordLevel", unk_token: "[UNK]", vocab: { "[UNK]": 0, two: 1, words: 2 } } };
    const script = `
      import { guard, load } from "tollgate";
      import { loadTokenizer } from "tollgate/hf";
      addEventListener("fetch", (event) => event.respondWith(answer()));
      async function answer() {
        const fetch = guard({ limits: { requests_day: 1 }, fetch: async () => new Response("{}", { headers: { "content-type": "application/json" } }) });
        const call = () => fetch("https://api.example.com/v1/messages", { method: "POST", body: JSON.stringify({ model: "claude-sonnet-5-5", max_tokens: 5, messages: [{ role: "user", content: "Hi" }] }) });
        const statuses = [(await call()).status, (await call()).status];
        const claude = (await load("claude-sonnet-5-5")).measure({ messages: [{ role: "user", content: ${JSON.stringify(TEXT)} }] }).estimate;
        const missing = await load("o200k_base").catch(({ code }) => code);
        return Response.json({ statuses, claude, missing, words: (await loadTokenizer(${JSON.stringify(small)})).count("two words more") });
      }`;
    // As Next.js does it: what is imported by "?module" is a compiled module of the runtime's.
    /** @type {Record<string, WebAssembly.Module>} */
    const modules = {};
    const { outputFiles } = await build({
      stdin: { contents: script, resolveDir: app.dir },
      bundle: true, write: false, format: "iife", target: "es2022", conditions: ["edge-light"], logLevel: "error",
      plugins: [{
        name: "modules",
        setup(on) {
          on.onResolve({ filter: /\.wasm\?module$/ }, (asked) => ({ path: path.join(asked.resolveDir, asked.path.replace("?module", "")), namespace: "module" }));
          on.onLoad({ filter: /.*/, namespace: "module" }, async ({ path: file }) => {
            const name = `wasm_${path.basename(file, ".wasm")}`;
            modules[name] = await WebAssembly.compile(await readFile(file));
            return { contents: `export default ${name};` };
          });
        },
      }],
    });
    assert.deepEqual(Object.keys(modules).sort(), ["wasm_client_bg", "wasm_hf_bg"]);
    const runtime = new EdgeRuntime({ initialCode: outputFiles[0].text, extend: (/** @type {object} */ context) => Object.assign(context, modules) });
    const response = await runtime.dispatchFetch("https://app.example.com/");
    const [claude] = expected.split(" ").map(Number);
    assert.deepEqual(await response.json(), { statuses: [200, 429], claude, missing: "bad_vocabulary", words: 3 });
  } finally {
    await app.remove();
  }
});

test("the SDKs' own types fit: their requests are measured, their clients take the guard", { skip: !APPS && options.skip }, async () => {
  const app = await project(APPS);
  try {
    const anthropic = fileURLToPath(import.meta.resolve("@anthropic-ai/sdk"));
    const file = await app.write("sdks.mts", `import Anthropic from ${JSON.stringify(anthropic)}; import OpenAI from "openai";
    import { guard, load, type MessagesRequest } from "tollgate"; import { loadInWorker } from "tollgate/worker";
    const fetch = guard({ limits: { rpm: 5 } });
    const [claude, gpt] = await Promise.all([load("claude-sonnet-5-5"), load("gpt-5")]);
    const message: Anthropic.MessageCreateParams = { model: "claude-sonnet-5-5", max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };
    const [chat, response]: [OpenAI.ChatCompletionCreateParams, OpenAI.Responses.ResponseCreateParams] = [{ model: "gpt-5", messages: [{ role: "user", content: "Hi" }] }, { model: "gpt-5", input: "Hi" }];
    const request: MessagesRequest = message;
    claude.measure({ messages: [], a_field_of_the_future: true });
    // @ts-expect-error: no messages
    claude.measure({ system: "Be kind.", a_field_of_the_future: true });
    export const told = [claude.measure(message), gpt.measure(chat), gpt.measure(response), await (await loadInWorker("claude-sonnet-5-5")).measure(message)];
    export const clients = [new Anthropic({ fetch }), new OpenAI({ fetch }), request];`);
    const checked = await app.run("tsc", ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2024", "--types", "", file]);
    assert.equal(checked.code, 0, checked.out);
  } finally {
    await app.remove();
  }
});

/** As OpenAI answers. */
const completion = (/** @type {number} */ total) => ({ id: "c", object: "chat.completion", model: "gpt-5", choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "Hi" } }], usage: { prompt_tokens: 10, completion_tokens: total - 10, total_tokens: total } });

test("OpenAI's SDK: refused in its own errors, settled by its own usage", { skip: !APPS && options.skip }, async () => {
  const { default: OpenAI } = createRequire(path.join(APPS, "package.json"))("openai");
  const provider = await puppet();
  try {
    /** @type {string[]} */
    const refused = [];
    const fetch = guard({ limits: { tokens_day: 1_000, windows: { "gpt-5": 500 } }, onRefuse: ({ code }) => refused.push(code) });
    const sdk = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: "sk-x", maxRetries: 0, fetch });
    const call = (/** @type {string} */ content, more = {}) => sdk.chat.completions.create({ model: "gpt-5", max_completion_tokens: 600, messages: [{ role: "user", content }], ...more });
    const answered = async (/** @type {number} */ total) => {
      const exchange = await provider.next();
      exchange.head(200, { "content-type": "application/json" });
      await exchange.write(JSON.stringify(completion(total)));
      exchange.end();
    };
    const first = call("Hello").then((/** @type {any} */ completion) => completion.choices[0].message.content);
    await answered(50);
    assert.equal(await first, "Hi");
    // 50 of 1,000 are used: one more fits beside none that runs.
    const second = call("Hello").then(() => {});
    const thrown = (/** @type {Promise<unknown>} */ failing) => failing.then(() => assert.fail("it was answered"), (error) => error);
    const during = await thrown(call("Hello"));
    assert.ok(during instanceof OpenAI.RateLimitError, String(during));
    assert.deepEqual([during.code, during.headers.get("x-tollgate-local")], ["tollgate_guard_limit", "1"]);
    await answered(60);
    await second;
    const long = await thrown(call("word ".repeat(5_000), { max_completion_tokens: 1 }));
    assert.deepEqual([long.status, long.code], [413, "context_length_exceeded"]);

    // As a stream, with its usage in the last chunk.
    const events = (async () => {
      const exchange = await provider.next();
      assert.match(exchange.body.toString(), /"stream":true/);
      exchange.head(200, { "content-type": "text/event-stream" });
      await exchange.write('data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n');
      await exchange.write('data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":400,"total_tokens":500}}\n\ndata: [DONE]\n\n');
      exchange.end();
    })();
    let text = "";
    for await (const chunk of await call("Hello", { stream: true })) text += chunk.choices[0]?.delta.content ?? "";
    await events;
    assert.equal(text, "Hi");
    // 50 + 60 + 500 are used: 600 more do not fit.
    assert.equal((await thrown(call("Hello"))).status, 429);
    assert.deepEqual(refused, ["tollgate_guard_limit", "tollgate_context_window", "tollgate_guard_limit"]);
  } finally {
    await provider.close();
  }
});

test("both official SDKs in a Worker: what may go is answered, what must fail is their own error and never leaves", { skip: !APPS && options.skip }, async () => {
  const [app, provider] = await Promise.all([project(APPS), puppet()]);
  try {
    const bundle = await bundled(
      app,
      `import Anthropic from ${JSON.stringify(fileURLToPath(import.meta.resolve("@anthropic-ai/sdk")))}; import OpenAI from "openai"; import { guard } from "tollgate";
      const provider = ${JSON.stringify(provider.url)};
      const options = () => ({ apiKey: "k", maxRetries: 0, fetch: guard({ limits: { requests_day: 1 } }) });
      const told = (call, SDK) => call.then((text) => text, (error) => [error instanceof SDK.RateLimitError, error.status, error.headers?.get("x-tollgate-local") ?? error.message]);
      export default {
        async fetch() {
          const anthropic = new Anthropic({ baseURL: provider, ...options() });
          const openai = new OpenAI({ baseURL: provider + "/v1", ...options() });
          const messages = [{ role: "user", content: "Hi" }];
          const ask = () => told(anthropic.messages.create({ model: "claude-sonnet-5-5", max_tokens: 5, messages }).then(({ content }) => content[0].text), Anthropic);
          const chat = () => told(openai.chat.completions.create({ model: "gpt-5", messages }).then(({ choices }) => choices[0].message.content), OpenAI);
          return Response.json([await ask(), await ask(), await chat(), await chat()]);
        },
      };`,
    );
    const miniflare = await workerd(bundle);
    try {
      const answer = miniflare.dispatchFetch("http://app/").then(async (response) => JSON.parse(await response.text()));
      for (const [url, body] of /** @type {const} */ ([["/v1/messages", ANSWER], ["/v1/chat/completions", completion(20)]])) {
        const exchange = await provider.next();
        assert.equal(exchange.request.url, url);
        exchange.head(200, { "content-type": "application/json" });
        await exchange.write(JSON.stringify(body));
        exchange.end();
      }
      const local = [true, 429, "1"];
      assert.deepEqual(await answer, ["Hello", local, "Hi", local]);
    } finally {
      await miniflare.dispose();
    }
  } finally {
    await Promise.all([provider.close(), app.remove()]);
  }
});

test("OpenAI's SDK in a page, across origins: counted exactly, settled by its stream's usage, refused in its own errors", options, async () => {
  const app = await project(APPS);
  /** @type {string[]} */
  const arrived = [];
  const provider = createServer(async (request, response) => {
    const cors = { "access-control-allow-origin": "*", "access-control-allow-headers": request.headers["access-control-request-headers"] ?? "*" };
    if (request.method === "OPTIONS") return void response.writeHead(204, cors).end();
    const parts = [];
    for await (const part of request) parts.push(part);
    const { stream, messages } = JSON.parse(Buffer.concat(parts).toString());
    arrived.push(messages[0].content);
    response.writeHead(200, { ...cors, "content-type": stream ? "text/event-stream" : "application/json" });
    if (!stream) return void response.end(JSON.stringify(completion(50)));
    const chunk = (/** @type {object} */ more) => `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [], ...more })}\n\n`;
    response.end(`${chunk({ choices: [{ index: 0, delta: { content: "Hi" } }] })}${chunk({ usage: completion(500).usage })}data: [DONE]\n\n`);
  });
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", () => resolve(undefined)));
  try {
    const { port } = /** @type {import("node:net").AddressInfo} */ (provider.address());
    await app.write("index.html", '<!doctype html><html lang="en"><title>App</title><output>…</output><script type="module" src="/main.js"></script>');
    await app.write(
      "main.js",
      `import OpenAI from "openai"; import { guard, load } from "tollgate";
      async function main() {
        const { count } = await load("gpt-5");
        const inputs = [];
        const fetch = guard({ limits: { tokens_day: 1_000, windows: { "gpt-5": 500 } }, onRefuse: ({ code, input }) => inputs.push([code, input.lower === count("word ".repeat(5_000))]) });
        const sdk = new OpenAI({ baseURL: "http://127.0.0.1:${port}/v1", apiKey: "sk-x", dangerouslyAllowBrowser: true, maxRetries: 0, fetch });
        const call = (content, more = {}) => sdk.chat.completions.create({ model: "gpt-5", max_completion_tokens: 600, messages: [{ role: "user", content }], ...more });
        const thrown = (call) => call.then(() => "answered", (error) => [error instanceof OpenAI.RateLimitError, error.status, error.code, error.headers.get("x-tollgate-local")]);
        const told = [(await call("one")).choices[0].message.content];
        let text = "";
        for await (const chunk of await call("two", { stream: true })) text += chunk.choices[0]?.delta.content ?? "";
        // 50 and 500 of 1,000 are used: 600 more do not fit.
        told.push(text, await thrown(call("three")), await thrown(call("word ".repeat(5_000), { max_completion_tokens: 1 })), inputs);
        document.querySelector("output").textContent = JSON.stringify(told);
      }
      main().catch((error) => console.error(error));`,
    );
    const built = await app.run(bin("vite"), ["build", "--logLevel", "warn"]);
    assert.equal(built.code, 0, built.err);
    const site = await served(path.join(app.dir, "dist"));
    try {
      const { text, complaints } = await shown(site.url);
      assert.deepEqual(JSON.parse(String(text)), ["Hi", "Hi", [true, 429, "tollgate_guard_limit", "1"], [false, 413, "context_length_exceeded", "1"], [["tollgate_guard_limit", false], ["tollgate_context_window", true]]]);
      assert.deepEqual([arrived, complaints], [["one", "two"], []]);
    } finally {
      site.close();
    }
  } finally {
    provider.close();
    provider.closeAllConnections();
    await app.remove();
  }
});
