// A provider whose every byte the test sends itself, when it says so.

import { createServer } from "node:http";

/**
 * @typedef {object} Puppet
 * @property {string} url
 * @property {Next} next the next request, once its body is read
 * @property {() => Promise<void>} close
 *
 * @typedef {{(): Promise<Exchange>, (signal: AbortSignal): Promise<Exchange | undefined>}} Next none once the signal aborts
 *
 * @typedef {object} Exchange
 * @property {import("node:http").IncomingMessage} request
 * @property {Buffer} body
 * @property {(status: number, headers: Record<string, string>) => void} head sends status and headers at once
 * @property {(data: string | Uint8Array) => Promise<void>} write
 * @property {() => void} end
 * @property {() => void} cut closes the connection without an end
 * @property {Promise<void>} left resolves when the other side closed before the end
 */

/** @returns {Promise<Puppet>} */
export async function puppet() {
  /** @type {Exchange[]} */
  const waiting = [];
  /** @type {((exchange: Exchange) => void)[]} */
  const takers = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const exchange = {
      request,
      body: Buffer.concat(parts),
      head: (/** @type {number} */ status, /** @type {Record<string, string>} */ headers) => {
        response.writeHead(status, headers);
        response.flushHeaders();
      },
      write: (/** @type {string | Uint8Array} */ data) =>
        new Promise((/** @type {(value: void) => void} */ resolve, reject) =>
          response.write(data, (error) => (error ? reject(error) : resolve())),
        ),
      end: () => void response.end(),
      cut: () => void request.socket.destroy(),
      left: new Promise((/** @type {(value: void) => void} */ resolve) =>
        response.once("close", () => response.writableFinished || resolve()),
      ),
    };
    const taker = takers.shift();
    taker ? taker(exchange) : waiting.push(exchange);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    next: (/** @type {AbortSignal | undefined} */ signal = undefined) =>
      new Promise((/** @type {(exchange: any) => void} */ resolve) => {
        const exchange = waiting.shift();
        if (exchange) return resolve(exchange);
        takers.push(resolve);
        signal?.addEventListener("abort", () => {
          const at = takers.indexOf(resolve);
          if (at >= 0) takers.splice(at, 1);
          resolve(undefined);
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A stream's parts as the provider writes them; `whole` ends with its mark. */
export const SSE = {
  start: sse("message_start", {
    message: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "claude-sonnet-5-5",
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 10, output_tokens: 1 },
    },
  }),
  open: sse("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
  text: (/** @type {string} */ text) => sse("content_block_delta", { index: 0, delta: { type: "text_delta", text } }),
  close: sse("content_block_stop", { index: 0 }),
  delta: (/** @type {number} */ tokens) =>
    sse("message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: tokens } }),
  stop: sse("message_stop", {}),
};

/**
 * @param {string} type
 * @param {object} data
 */
function sse(type, data) {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

export const ANSWER = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-sonnet-5-5",
  content: [{ type: "text", text: "Hello" }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 10, output_tokens: 2 },
};
