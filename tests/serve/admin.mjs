// Calls of the admin API with a token that the `tollgate` tool signs offline.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const TOLLGATE = new URL("../../target/tools/tollgate", import.meta.url).pathname;

/**
 * @param {string} url
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>} the answer's JSON; throws with its text where it is an error
 */
export async function admin(url, method, path, body) {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${await signToken("owner")}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answers ${response.status}: ${text.slice(0, 2000)}`);
  return text ? JSON.parse(text) : undefined;
}

/**
 * @param {string} role viewer, operator or owner
 * @returns {Promise<string>} signed with TOLLGATE_SECRET of the environment
 */
export async function signToken(role) {
  const { stdout } = await promisify(execFile)(TOLLGATE, ["token", "--role", role]);
  const token = stdout.match(/tg_ad_\S+/)?.[0];
  if (!token) throw new Error("tollgate token printed no token");
  return token;
}
