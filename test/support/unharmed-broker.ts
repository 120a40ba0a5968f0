// A broker for all tests of a file, and a caller of it. After each test the same process takes a job, and has met nothing
// that it takes for its own fault.

import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Broker } from "./broker.js";
import { Stranger } from "./stranger.js";

export interface Unharmed {
  readonly broker: Broker;
  readonly stranger: Stranger;
}

/** For the top level of a test file; what it returns is there once the tests run. */
export function unharmedBroker(): Unharmed {
  const tested = {} as { broker: Broker; stranger: Stranger };
  let pid: number;

  beforeAll(async () => {
    tested.broker = await Broker.start();
    tested.stranger = new Stranger(tested.broker.address);
    pid = tested.broker.pid;
  });

  afterEach(async () => {
    const { broker, stranger } = tested;
    await stranger.call("JobService/Submit", { job: { task: "unharmed" } });
    expect(broker.pid).toBe(pid);
    expect(broker.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });

  afterAll(async () => {
    tested.stranger.close();
    await tested.broker.stop();
  });

  return tested;
}
