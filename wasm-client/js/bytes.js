// Bytes that a caller gives, or says where they are.

import { gunzip } from "#bytes";
import { fetched } from "./fetched.js";
import { kindOf, reasonOf, TollgateError } from "./given.js";

/**
 * @typedef {string | URL | Response | ArrayBuffer | ArrayBufferView} BytesSource
 * @typedef {{code: import("../types/index.js").ErrorCode, what: string}} Of what they are, for errors
 */

/**
 * What was given, once it is there.
 *
 * @template T
 * @param {T | Promise<T>} from
 * @param {Of} of
 * @returns {Promise<T>}
 */
export async function arrived(from, { code, what }) {
  try {
    return await from;
  } catch (error) {
    throw new TollgateError(code, `${what} could not be fetched: ${reasonOf(error)}`, error);
  }
}

/**
 * @param {BytesSource} from
 * @param {Of} of
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function read(from, { code, what }) {
  if (from instanceof ArrayBuffer) return new Uint8Array(from);
  if (ArrayBuffer.isView(from)) return new Uint8Array(/** @type {ArrayBuffer} */ (from.buffer), from.byteOffset, from.byteLength);
  if (!(from instanceof Response || from instanceof URL || typeof from === "string")) throw new TollgateError(code, `${what} is bytes, a response or an address, not ${kindOf(from)}.`);
  // A response that was made by hand has no address.
  let place = from instanceof Response ? "the response that was given" : from;
  const whole = async (/** @type {Response} */ response) => {
    place = response.url || place;
    if (!response.ok) throw new Error(`status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  };
  try {
    return await (from instanceof Response ? whole(from) : fetched(from, whole));
  } catch (error) {
    throw new TollgateError(code, `${what} could not be fetched from ${place}: ${reasonOf(error)}`, error);
  }
}

/**
 * Some servers unpack what they find packed: both are taken.
 *
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {Of} of
 */
export async function unpacked(bytes, { code, what }) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await gunzip(bytes);
  } catch (error) {
    throw new TollgateError(code, `${what} is damaged or cut short.`, error);
  }
}
