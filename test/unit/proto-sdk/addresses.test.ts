import { addressesOf, Ring } from "@drover/proto/sdk/addresses";
import { describe, expect, test } from "vitest";

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
