// Lease tokens: what a worker shows when it reports. Signed, because a token that could be made up would settle
// anybody's job; opaque to workers, because only brokers act on what it says.

import crypto from "node:crypto";
import type { LeaseClaim, Tokens } from "./app/ports.js";
import { isName } from "./core/names.js";

/** Characters of the signature: 128 bits in base64url. */
const signed = 22;
/** HMAC's block for SHA-256, and the digest's length. [RFC 2104] */
const block = 64;
const digest = 32;
const longest = 512;

/** `<attempt>.<origin>.<task>~<key>` in base64url, a dot, the first half of its HMAC-SHA256 in base64url. At most 380
 *  characters. */
export class SignedTokens implements Tokens {
  /** Key and message, for the first of the two hashes that an HMAC is. */
  readonly #inner: Buffer;
  /** Key and the first hash, for the second. */
  readonly #outer: Buffer;

  constructor(readonly key: Uint8Array) {
    this.#inner = Buffer.concat([padded(key, 0x36), Buffer.alloc(longest)]);
    this.#outer = Buffer.concat([padded(key, 0x5c), Buffer.alloc(digest)]);
  }

  sign({ attempt, origin, ref }: LeaseClaim): string {
    const length = this.#write(`${attempt}.${origin}.${ref.task}~${ref.key}`);
    return `${this.#inner.toString("base64url", block, block + length)}.${this.#mac(length)}`;
  }

  verify(token: string): LeaseClaim | undefined {
    const dot = token.indexOf(".");
    if (dot < 1 || token.length > longest) return undefined;
    const said = Buffer.from(token.slice(0, dot), "base64url").toString("latin1");
    const mac = Buffer.from(token.slice(dot + 1), "latin1");
    const right = Buffer.from(this.#mac(this.#write(said)), "latin1");
    if (mac.length !== signed || !crypto.timingSafeEqual(mac, right)) return undefined;
    const parts = /^(\d+)\.(\d+)\.([^~]+)~(.+)$/.exec(said);
    const [, attempt = "", origin = "", task = "", key = ""] = parts ?? [];
    if (!isName(task) || !isName(key)) return undefined;
    return { ref: { task, key }, attempt: Number(attempt), origin: Number(origin) };
  }

  #write(said: string): number {
    return this.#inner.write(said, block, "latin1");
  }

  /** Of what was written, which has so many bytes. One is made for every lease: two plain hashes, in memory that is there,
   *  take a third of what an object of Node's for one HMAC does. */
  #mac(length: number): string {
    const first = sha256(this.#inner.subarray(0, block + length), "binary");
    this.#outer.write(first, block, "latin1");
    return firstHalf(sha256(this.#outer, "base64url"));
  }
}

function padded(key: Uint8Array, pad: number): Buffer {
  const short = key.length > block ? Buffer.from(sha256(key, "binary"), "latin1") : key;
  return Buffer.alloc(block, pad).map((byte, i) => byte ^ (short[i] ?? 0)) as Buffer;
}

/** The last of these characters holds two bits of the half and four of what follows it. */
function firstHalf(mac: string): string {
  const last = Buffer.from(`${mac.charAt(signed - 1)}A`, "base64url")[0] ?? 0;
  return mac.slice(0, signed - 1) + "AQgw".charAt(last >> 6);
}

/** Node 20 has had the short way since 20.12. */
function sha256(data: Uint8Array, as: "binary" | "base64url"): string {
  return crypto.hash?.("sha256", data, as) ?? crypto.createHash("sha256").update(data).digest(as);
}
