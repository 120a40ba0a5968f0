import { describe, expect, test } from "vitest";
import { addressesOf, Ring } from "../../../worker-sdk/typescript/src/addresses.js";
import { Reconnect } from "../../../worker-sdk/typescript/src/reconnect.js";

const highest = () => 0.9999999;

describe("the wait before the next attach", () => {
  test("is none after a session that worked", () => {
    expect(new Reconnect(highest).ended(60_000)).toBe(0);
  });

  test("doubles from 50 ms to 5 s with each failure, at most", () => {
    const reconnect = new Reconnect(highest);
    const waits = Array.from({ length: 9 }, () => reconnect.failed());
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  test("is anything down to nothing, so that workers do not come back as one", () => {
    const reconnect = new Reconnect(() => 0);
    expect([reconnect.failed(), reconnect.failed()]).toEqual([0, 0]);
  });

  test("starts anew after a session that worked", () => {
    const reconnect = new Reconnect(highest);
    for (let i = 0; i < 6; i++) reconnect.failed();
    reconnect.ended(5_000);
    expect(reconnect.failed()).toBe(50);
  });

  test("goes on growing when every session is lost at once", () => {
    const reconnect = new Reconnect(highest);
    expect([reconnect.ended(10), reconnect.ended(10), reconnect.ended(10)]).toEqual([50, 100, 200]);
  });
});

describe("the brokers' addresses", () => {
  test.each`
    options                            | env                               | addresses                 | why
    ${{}}                              | ${{}}                             | ${["127.0.0.1:50051"]}    | ${"default to this machine"}
    ${{}}                              | ${{ DROVER_ADDRESS: "a:1, b:2" }} | ${["a:1", "b:2"]}         | ${"may come from the environment"}
    ${{}}                              | ${{ DROVER_ADDRESS: "" }}         | ${["127.0.0.1:50051"]}    | ${"empty is unset"}
    ${{ address: "c:3" }}              | ${{ DROVER_ADDRESS: "a:1" }}      | ${["c:3"]}                | ${"given ones win"}
    ${{ addresses: ["a", "[::1]:9"] }} | ${{}}                             | ${["a:50051", "[::1]:9"]} | ${"have a default port"}
  `("$why", ({ options, env, addresses }) => {
    expect(addressesOf(options, env)).toEqual(addresses);
  });

  test.each(["http://a:1", "a:0", "a:70000", ""])("refuse %j", (address) => {
    expect(() => addressesOf({ addresses: [address] }, {})).toThrow(RangeError);
  });

  test("are tried in turn, from anywhere", () => {
    const ring = new Ring(["a", "b", "c"], () => 0.5);
    expect([ring.current, ring.next(), ring.next(), ring.next()]).toEqual(["b", "c", "a", "b"]);
  });
});
