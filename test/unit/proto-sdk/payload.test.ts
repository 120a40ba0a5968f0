import * as client from "@drover/client";
import { decode, encode, isJson, PayloadError, RawPayload } from "@drover/proto/sdk/payload";
import * as worker from "@drover/worker";
import { describe, expect, test } from "vitest";

const json = (value: unknown) => Buffer.from(encode(value).data).toString();
const roundTrip = (value: unknown) => decode(encode(value));

describe("a payload", () => {
  test.each`
    value                                     | text                            | why
    ${{ user_id: 7 }}                         | ${'{"user_id":7}'}              | ${"is JSON"}
    ${undefined}                              | ${"null"}                       | ${"is null where there is nothing"}
    ${null}                                   | ${"null"}                       | ${"may be null"}
    ${[1, undefined]}                         | ${"[1,null]"}                   | ${"has null for what JSON has no word for"}
    ${() => 1}                                | ${"null"}                       | ${"has no functions"}
    ${"grüße 😀"}                             | ${'"grüße 😀"'}                 | ${"is UTF-8"}
    ${new Date(0)}                            | ${'"1970-01-01T00:00:00.000Z"'} | ${"has dates as RFC 3339 in UTC"}
    ${{ a: [{ b: new Uint8Array([1, 2]) }] }} | ${'{"a":[{"b":"AQI="}]}'}       | ${"has bytes as base64, however deep"}
    ${{ a: Buffer.from("hi") }}               | ${'{"a":"aGk="}'}               | ${"has a Buffer as base64 too"}
  `("$why", ({ value, text }) => {
    expect(json(value)).toBe(text);
  });

  test("that is bytes passes through as bytes", () => {
    expect(encode(new Uint8Array([1, 2]))).toEqual({
      data: new Uint8Array([1, 2]),
      contentType: "application/octet-stream",
    });
    expect(encode(new RawPayload(Buffer.from("<x/>"), "text/xml")).contentType).toBe("text/xml");
    expect(decode({ data: Buffer.from("<x/>"), contentType: "text/xml" })).toEqual(Buffer.from("<x/>"));
  });

  test("comes back as it went", () => {
    const value = { text: "a", list: [1, 2.5, true, null], nested: { empty: {} } };
    expect(roundTrip(value)).toEqual(value);
  });

  test("that is missing or empty is null", () => {
    expect(decode(undefined)).toBeNull();
    expect(decode({ data: new Uint8Array(0), contentType: "" })).toBeNull();
  });

  test("that is no JSON value is refused", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    expect(() => encode({ big: 1n, cycle })).toThrow(PayloadError);
    expect(() => encode(cycle)).toThrow(PayloadError);
    expect(() => decode({ data: Buffer.from("{"), contentType: "" })).toThrow(PayloadError);
  });

  test("of an object that makes its own JSON is that JSON, also when the object has cycles", () => {
    const node: Record<string, unknown> = { toJSON: () => "node" };
    node.self = node;
    expect(json({ node })).toBe('{"node":"node"}');
  });

  test.each`
    contentType                          | is
    ${""}                                | ${true}
    ${"application/json"}                | ${true}
    ${"Application/JSON; charset=utf-8"} | ${true}
    ${"application/x-ndjson"}            | ${false}
    ${"application/octet-stream"}        | ${false}
  `("of type '$contentType' is JSON: $is", ({ contentType, is }) => {
    expect(isJson(contentType)).toBe(is);
  });
});

test("what is made for one SDK is known to the other", () => {
  expect(client.RawPayload).toBe(worker.RawPayload);
  expect(client.PayloadError).toBe(worker.PayloadError);
});
