import { describe, expect, test } from "vitest";
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
