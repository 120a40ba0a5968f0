// Lease tokens: what a worker shows when it reports. Signed, because a token that could be made up would settle
// anybody's job; opaque to workers, because only brokers act on what it says.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { LeaseClaim, Tokens } from "./app/ports.js";
import { isName } from "./core/names.js";

/** Bytes of the signature that are kept: 128 bits. */
const signed = 16;

/** `<attempt>.<origin>.<task>~<key>` in base64url, a dot, its HMAC-SHA256 in base64url. At most 380 characters. */
export class SignedTokens implements Tokens {
  constructor(readonly key: Uint8Array) {}

  sign(claim: LeaseClaim): string {
    const said = `${claim.attempt}.${claim.origin}.${claim.ref.task}~${claim.ref.key}`;
    return `${Buffer.from(said, "latin1").toString("base64url")}.${this.#mac(said).toString("base64url")}`;
  }

  verify(token: string): LeaseClaim | undefined {
    const dot = token.indexOf(".");
    if (dot < 1 || token.length > 512) return undefined;
    const said = Buffer.from(token.slice(0, dot), "base64url").toString("latin1");
    const mac = Buffer.from(token.slice(dot + 1), "base64url");
    if (mac.length !== signed || !timingSafeEqual(mac, this.#mac(said))) return undefined;
    const parts = /^(\d+)\.(\d+)\.([^~]+)~(.+)$/.exec(said);
    const [, attempt = "", origin = "", task = "", key = ""] = parts ?? [];
    if (!isName(task) || !isName(key)) return undefined;
    return { ref: { task, key }, attempt: Number(attempt), origin: Number(origin) };
  }

  #mac(said: string): Buffer {
    return createHmac("sha256", this.key).update(said, "latin1").digest().subarray(0, signed);
  }
}
