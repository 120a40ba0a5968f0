// Which of the times that are due run, by what the schedule says of a job that still does.

import { expect, test } from "vitest";
import { roundOf, timesToRun } from "../../../broker/src/app/firing-rounds.js";
import type { ScheduleRecord } from "../../../broker/src/app/schedule-ports.js";
import type { Overlap, Schedule } from "../../../broker/src/core/schedule.js";
import { now } from "../../support/stored-jobs.js";

const second = 1_000;

/** A round of a schedule of every second, three times late. */
function round(overlap: Overlap) {
  const schedule: Schedule = {
    name: "beat",
    interval: second,
    timeZone: "",
    job: { task: "beat", key: "", labels: {}, headers: {} },
    overlap,
    misfire: "once",
    maxCatchUp: 0,
    paused: false,
    description: "",
  };
  const record: ScheduleRecord = {
    name: "beat",
    owner: "",
    createdAt: 0,
    changedAt: 0,
    declaredAt: now,
    declared: new Uint8Array(0),
    paused: false,
    lastAt: now,
    nextAt: now + second,
    lastTask: "beat",
    lastKey: "k",
    firings: [],
    nonce: "",
  };
  const ticket = { name: "beat", plannedAt: now + second, ack: () => undefined };
  return roundOf(ticket, { record, seq: 1 }, schedule, now + 3 * second, 30 * second);
}

const [first, middle, last] = [now + second, now + 2 * second, now + 3 * second];

test.each<[overlap: Overlap, isRunning: boolean, times: number[]]>([
  ["allow", false, [first, middle, last]],
  ["allow", true, [first, middle, last]],
  ["skip", false, [first]],
  ["skip", true, []],
  ["cancel-previous", false, [last]],
  ["cancel-previous", true, [last]],
])("overlap %s, while the job before runs: %s", (overlap, isRunning, times) => {
  expect(timesToRun(round(overlap), isRunning)).toEqual(times);
});

test("an alarm is never early, whatever this broker takes for the server's time", () => {
  const { known, schedule } = round("allow");
  const ticket = { name: "beat", plannedAt: first, ack: () => undefined };
  expect(roundOf(ticket, known, schedule, now, 30 * second).due.run).toEqual([first]);
});
