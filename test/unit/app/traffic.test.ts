import { beforeEach, describe, expect, test } from "vitest";
import { silent, type Telemetry } from "../../../broker/src/app/telemetry.js";
import { Traffic } from "../../../broker/src/app/traffic.js";

let now: number;
let traffic: Traffic;
let telemetry: Telemetry;
let told: unknown[];

beforeEach(() => {
  now = 1_000_000;
  traffic = new Traffic(() => now);
  told = [];
  telemetry = traffic.seen({
    ...silent,
    submitted: (line) => told.push(line),
    finished: (...all) => told.push(all),
  });
});

const mail = { task: "mail.send", queue: "mail" };
const submit = (count: number) => {
  for (let i = 0; i < count; i++) telemetry.submitted(mail);
};

describe("the rate of a queue", () => {
  test("is that of the last ten whole seconds", () => {
    for (let second = 0; second < 20; second++) {
      submit(5);
      telemetry.finished(mail, "succeeded", "", 1);
      now += 1_000;
    }
    expect(traffic.rates()).toEqual({ mail: { submitted: 5, finished: 1 } });
    submit(100);
    expect(traffic.rates()).toEqual({ mail: { submitted: 5, finished: 1 } });
  });

  test("sinks to nothing ten seconds after the last job, and the queue is forgotten", () => {
    submit(20);
    expect(traffic.rates()).toEqual({});
    now += 1_000;
    expect(traffic.rates()).toEqual({ mail: { submitted: 2, finished: 0 } });
    now += 9_999;
    expect(traffic.rates()).toEqual({ mail: { submitted: 2, finished: 0 } });
    now += 1;
    expect(traffic.rates()).toEqual({});
  });

  test("counts nothing of a second so long ago that its place is taken again", () => {
    submit(30);
    now += 11_000;
    submit(10);
    now += 1_000;
    expect(traffic.rates()).toEqual({ mail: { submitted: 1, finished: 0 } });
  });
});

test("the metrics are told all that they were told before", () => {
  telemetry.submitted(mail);
  telemetry.finished(mail, "failed", "ERROR", 0.5, "trace");
  expect(told).toEqual([mail, [mail, "failed", "ERROR", 0.5, "trace"]]);
});
