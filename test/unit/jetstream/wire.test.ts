import { headers, type Msg } from "nats";
import { describe, expect, test } from "vitest";
import { ackSubjectOf, HeaderText } from "../../../broker/src/jetstream/wire.js";

/** A message that is not the client's own kind: read by what every message has. */
const replied = (reply: string): Msg => ({
  subject: "s",
  sid: 1,
  data: new Uint8Array(0),
  headers: headers(),
  reply,
  respond: () => false,
  json: <T>() => JSON.parse("null") as T,
  string: () => "",
});

describe("what a delivery's reply subject says", () => {
  test.each([
    ["in its first form", "$JS.ACK.DROVER_default_0.lane_ab.3.120045.77.1790000000000000000.250"],
    [
      "with domain and account in front",
      "$JS.ACK.hub.ACCHASH.DROVER_default_0.lane_ab.3.120045.77.1790000000000000000.250.x7",
    ],
  ])("%s is how often, which and how many more", (_, reply) => {
    const acks = ackSubjectOf(replied(reply));
    expect(acks).toMatchObject({ deliveries: 3, seq: 120_045, pending: 250 });
    expect(Buffer.from(acks?.to ?? []).toString()).toBe(reply);
  });

  test("a sequence far beyond 32 bits is read whole", () => {
    expect(ackSubjectOf(replied("$JS.ACK.S.c.1.9007199254740991.1.1.0"))?.seq).toBe(Number.MAX_SAFE_INTEGER);
  });

  test.each(["", "_INBOX.a.b", "$JS.ACK", "$JS.API.x.y.1.2.3.4.5"])("%j is no delivery", (reply) => {
    expect(ackSubjectOf(replied(reply))).toBeUndefined();
  });
});

describe("headers as they came", () => {
  const text = "NATS/1.0\r\nDrover-Rev: 7\r\nDrover-Rev-Of: 8\r\nNats-Subject:a.b\r\nEmpty: \r\n\r\n";

  test.each([
    ["Drover-Rev", "7"],
    ["Drover-Rev-Of", "8"],
    ["Nats-Subject", "a.b"],
    ["Empty", ""],
    ["Rev", ""],
    ["Drover", ""],
  ])("%s is %j", (name, value) => {
    expect(new HeaderText(text).get(name)).toBe(value);
  });
});
