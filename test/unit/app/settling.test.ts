// A report on a lease is answered once, and what is kept of the lease here fits what the store made of the report: the
// ticket is acked behind the write and not before, and a report that could not be written may be made again.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Holder, Holding, Holdings } from "../../../broker/src/app/holdings.js";
import type { Ticket } from "../../../broker/src/app/ports.js";
import { Settling } from "../../../broker/src/app/settling.js";
import { silent } from "../../../broker/src/app/telemetry.js";
import type { Report } from "../../../broker/src/app/worker-api.js";
import { type Answer, answersTo, ScriptedStore } from "../../support/scripted-store.js";
import { aHold, now, stored } from "../../support/stored-jobs.js";

const ref = { task: "mail.send", key: "k1" };
const ticket = stored("ready", { seq: 9 });
const log = { outcome() {}, debug() {}, info() {}, warn() {}, error() {} };
const success: Report = { type: "success", result: undefined };

let store: ScriptedStore;
let holdings: Holdings;
let holding: Holding;
let settling: Settling;
/** What becomes of the lease, in order. */
let steps: string[];

beforeEach(() => {
  store = new ScriptedStore();
  store.current = { current: ticket, last: 9 };
  steps = [];
  const holder: Holder = {
    worker: "worker-1",
    instance: "i",
    unary: false,
    cancelled: () => void steps.push("cancelled"),
    released: () => void steps.push("released"),
    vouched() {},
  };
  holdings = new Holdings();
  holding = new Holding({ ref, attempt: 1, origin: 9 }, ticket, 9, holder, 1, 0, now, 10_000);
  holding.ticket = {
    lane: { task: ref.task, queue: "default", priority: 5 },
    ref,
    seq: 9,
    deliveries: 1,
    trusted: true,
    stored: ticket,
    corrupt: undefined,
    ack: () => void steps.push("acked"),
  } satisfies Ticket;
  holdings.add(holding);
  settling = new Settling({
    ledger: store.ledger,
    holdings,
    jobs: { dropBody() {} },
    clock: { now: () => now },
    telemetry: silent,
    log,
    broker: "broker-1",
  });
});
afterEach(() => store.close());

const settle = (report: Report = success) =>
  answersTo((told) => settling.settle(holding, report, told, told)).then((answers) => ({
    answers,
    steps,
    held: holdings.get(holding.id) === holding,
    settling: holding.settling,
  }));

describe("a report", () => {
  test.each<[string, Report, string]>([
    ["success", success, "SUCCEEDED"],
    [
      "a failure that is not tried again",
      { type: "failure", failure: { reason: 2, type: "", message: "", stack: "" }, retryAfter: undefined },
      "FAILED",
    ],
    ["release", { type: "release" }, "READY"],
    ["snooze", { type: "snooze", delay: 1_000 }, "RETRYING"],
  ])(
    "of %s is recorded once, and then the ticket is acked and the lease let go",
    async (_, report, state) => {
      store.answers = [12];
      expect(await settle(report)).toEqual({
        answers: [expect.stringMatching(report.type === "snooze" ? /SCHEDULED|RETRYING/ : state)],
        steps: ["acked", "released"],
        held: false,
        settling: false,
      });
    },
  );

  test("that is not answered yet keeps the lease and its ticket, and nothing else may be written", async () => {
    expect(await settle()).toEqual({ answers: [], steps: [], held: true, settling: true });
  });

  test.each<[string, Answer[]]>([
    ["at once", ["away"]],
    ["after a conflict", ["conflict", "away"]],
  ])("that finds the store away %s may be made again: nothing is acked", async (_, answers) => {
    store.answers = answers;
    expect(await settle()).toEqual({
      answers: ["mail.send~k1: away"],
      steps: [],
      held: true,
      settling: false,
    });
    store.answers = [12];
    expect((await settle()).steps).toEqual(["acked", "released"]);
  });

  test("on a lease that is somebody else's is refused once; its ticket means nothing any more", async () => {
    store.answers = ["conflict"];
    const hold = aHold({ origin: 20 });
    store.current = { current: stored("held-a", { seq: 21, rev: ticket.rev + 2 }, { hold }), last: 21 };
    expect(await settle()).toEqual({
      answers: [expect.stringContaining("is lost")],
      steps: ["acked", "released"],
      held: false,
      settling: false,
    });
  });

  test("of a cancel that nobody asked for is refused, and the lease goes on", async () => {
    expect(await settle({ type: "cancelled" })).toEqual({
      answers: [expect.stringContaining("nobody asked")],
      steps: [],
      held: true,
      settling: false,
    });
    expect(store.writes).toEqual([]);
  });
});
