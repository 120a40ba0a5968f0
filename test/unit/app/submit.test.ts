// Many jobs in one submit: each has an answer of its own, in order, whatever becomes of the others.

import { afterEach, beforeEach, expect, test } from "vitest";
import { Submit } from "../../../broker/src/app/submit.js";
import { silent } from "../../../broker/src/app/telemetry.js";
import { UniqueJobs } from "../../../broker/src/app/unique.js";
import { Refusal } from "../../../broker/src/core/errors.js";
import { ScriptedStore } from "../../support/scripted-store.js";
import { aSpec, now, stored } from "../../support/stored-jobs.js";

let store: ScriptedStore;
let submit: Submit;
let keys: number;

beforeEach(() => {
  store = new ScriptedStore();
  keys = 0;
  const jobs = { read: async () => [] };
  const clock = { now: () => now };
  const claims = { read: async () => ({ holder: undefined, last: 0 }) };
  const unique = new UniqueJobs(claims, store.intake, jobs, clock);
  // Keys that are made repeat no job: none of them is read first.
  const randomBytes = (n: number) => new Uint8Array(n).fill(++keys);
  const { intake, ledger } = store;
  const storage = { full: false };
  submit = new Submit({ intake, ledger, jobs, storage, clock, telemetry: silent, randomBytes, unique });
});
afterEach(() => store.close());

const specs = (count: number) => Array.from({ length: count }, () => aSpec({ key: "" }));
const told = (answers: Awaited<ReturnType<Submit["submit"]>>) =>
  answers.map((answer) => (answer instanceof Refusal ? answer.reason : [answer.deduplicated, answer.state]));

test("jobs that are refused do not keep the others from being answered", async () => {
  store.answers = [10, "away", "conflict", 12];
  store.current = { current: stored("succeeded", { seq: 9 }), last: 9 };
  expect(told(await submit.submit(specs(4), "return"))).toEqual([
    [false, "READY"],
    "STORE_UNAVAILABLE",
    [true, "SUCCEEDED"],
    [false, "READY"],
  ]);
});

test("a key that is taken is refused where the caller wants it so, alone", async () => {
  store.answers = ["conflict", 12];
  store.current = { current: stored("ready", { seq: 9 }), last: 9 };
  expect(told(await submit.submit(specs(2), "reject"))).toEqual(["JOB_EXISTS", [false, "READY"]]);
});

test("no jobs are answered at once", async () => {
  expect(await submit.submit([], "return")).toEqual([]);
});

test("what is a bug of the broker's is nobody's answer: the call fails", async () => {
  store.answers = [10, "broken"];
  await expect(submit.submit(specs(2), "return")).rejects.toThrow("a bug");
});
