import crypto, { createHmac } from "node:crypto";
import { assert, integer, property, stringMatching, tuple, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import { SignedTokens } from "../../../broker/src/tokens.js";

const key = Buffer.alloc(32, 7);
const tokens = new SignedTokens(key);
const claim = { ref: { task: "mail.send", key: "order-17" }, attempt: 3, origin: 123_456_789 };
const token = tokens.sign(claim);
const [said = "", mac = ""] = token.split(".");

/** Other words under a signature that was made for the token's. */
function forged(words: string): string {
  return `${Buffer.from(words).toString("base64url")}.${mac}`;
}

test("a token says what was signed, to every broker of the namespace", () => {
  expect(tokens.verify(token)).toEqual(claim);
  expect(new SignedTokens(Buffer.from(key)).verify(token)).toEqual(claim);
});

test("whatever the job, its token comes back as it went and fits a URL and the contract's 512 characters", async () => {
  const name = stringMatching(/^[A-Za-z0-9_.-]{1,128}$/);
  const number = integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  await assert(
    property(tuple(name, name, number, number, uint8Array({ minLength: 32, maxLength: 32 })), (drawn) => {
      const [task, jobKey, attempt, origin, secret] = drawn;
      const mine = new SignedTokens(secret);
      const signed = mine.sign({ ref: { task, key: jobKey }, attempt, origin });
      expect(signed).toMatch(/^[A-Za-z0-9_.-]{1,512}$/);
      expect(mine.verify(signed)).toEqual({ ref: { task, key: jobKey }, attempt, origin });
    }),
  );
});

test("it is signed with the first half of an HMAC-SHA256, whatever the key's length", async () => {
  const words = stringMatching(/^[A-Za-z0-9_.-]{1,128}$/);
  await assert(
    property(words, uint8Array({ maxLength: 200 }), (jobKey, secret) => {
      const [text = "", signature] = new SignedTokens(secret)
        .sign({ ref: { task: "t", key: jobKey }, attempt: 1, origin: 2 })
        .split(".");
      const whole = createHmac("sha256", secret).update(Buffer.from(text, "base64url")).digest();
      expect(signature).toBe(whole.subarray(0, 16).toString("base64url"));
    }),
  );
});

test("a Node without the short way to a hash signs alike", () => {
  const { hash } = crypto;
  Object.assign(crypto, { hash: undefined });
  try {
    expect(new SignedTokens(key).sign(claim)).toBe(token);
  } finally {
    Object.assign(crypto, { hash });
  }
});

describe("a token is refused when", () => {
  test("it was signed with another key", () => {
    expect(new SignedTokens(Buffer.alloc(32, 8)).verify(token)).toBeUndefined();
    expect(new SignedTokens(Buffer.alloc(0)).verify(token)).toBeUndefined();
  });

  test("it says another job, attempt or origin than was signed", () => {
    for (const words of [
      "3.123456789.mail.send~order-18",
      "4.123456789.mail.send~order-17",
      "3.123456780.mail.send~order-17",
      "3.123456789.mail.sent~order-17",
    ]) {
      expect(tokens.verify(forged(words))).toBeUndefined();
    }
  });

  test("it is cut off anywhere", () => {
    for (let length = 0; length < token.length; length++) {
      expect(tokens.verify(token.slice(0, length))).toBeUndefined();
    }
  });

  test("any bit of its words or of its signature is another", () => {
    for (const part of [0, 1]) {
      const bytes = Buffer.from(part === 0 ? said : mac, "base64url");
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const text = changed.toString("base64url");
        expect(tokens.verify(part === 0 ? `${text}.${mac}` : `${said}.${text}`)).toBeUndefined();
      }
    }
  });

  test.each([
    ["nothing", ""],
    ["a dot", "."],
    ["no signature", said],
    ["an empty signature", `${said}.`],
    ["only a signature", `.${mac}`],
    ["two of them", `${token}.${mac}`],
    ["somebody's JSON web token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."],
    ["an ack subject", "$JS.ACK.DROVER_default_0.lane_x.1.7.7.0.0"],
    ["more than 512 characters", `${"A".repeat(500)}.${mac}`],
    ["not base64", `${"~".repeat(40)}.${mac}`],
  ])("it is %s", (_, text) => {
    expect(tokens.verify(text)).toBeUndefined();
  });

  test("it was signed for words that are no claim", () => {
    const odd = tokens.sign({ ref: { task: "a b", key: "k" }, attempt: 1, origin: 1 });
    expect(tokens.verify(odd)).toBeUndefined();
    const none = tokens.sign({ ref: { task: "a", key: "" }, attempt: 1, origin: 1 });
    expect(tokens.verify(none)).toBeUndefined();
  });
});
