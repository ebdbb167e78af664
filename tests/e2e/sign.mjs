// Signs keys as crates/keys does, written anew from its description: the tests
// make keys that no tool would, and a change of the format cannot pass unseen.

import { createHmac } from "node:crypto";

const VERSION = 1;
const TENANT = 1;
const ID = 2;
const EXPIRES_MS = 3;
const ROLE = 6;
const ROLES = ["viewer", "operator", "owner"];
const MAC_BYTES = 16;

/**
 * @param {string} secret
 * @param {"tg_sk_" | "tg_pk_" | "tg_vt_" | "tg_ad_"} prefix
 * @param {{tenant?: string, id?: string, expires_ms?: number, role?: string}} claims
 */
export function sign(secret, prefix, { tenant, id = "aaaaaaaaaa", expires_ms, role }) {
  const field = (/** @type {number} */ tag, /** @type {Buffer} */ value) => [Buffer.from([tag, value.length]), value];
  const expires = Buffer.alloc(8);
  expires.writeBigUInt64BE(BigInt(expires_ms ?? 0));
  const payload = Buffer.concat([
    Buffer.from([VERSION]),
    ...(tenant === undefined ? [] : field(TENANT, Buffer.from(tenant))),
    ...field(ID, Buffer.from(id)),
    ...(expires_ms === undefined ? [] : field(EXPIRES_MS, expires)),
    ...(role === undefined ? [] : field(ROLE, Buffer.from([ROLES.indexOf(role)]))),
  ]);
  const mac = createHmac("sha256", secret).update(prefix).update(payload).digest().subarray(0, MAC_BYTES);
  return prefix + Buffer.concat([payload, mac]).toString("base64url");
}
