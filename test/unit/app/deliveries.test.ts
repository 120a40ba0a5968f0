// Tickets that came again, at the moments in which their jobs end: what is read and who is asked happen one after the
// other, and a job may end in between.

import { expect, test } from "vitest";
import { Deliveries } from "../../../broker/src/app/deliveries.js";
import { Holdings } from "../../../broker/src/app/holdings.js";
import type { Ledger } from "../../../broker/src/app/ledger.js";
import type { Peers, Ticket } from "../../../broker/src/app/ports.js";
import { silent } from "../../../broker/src/app/telemetry.js";
import type { Snapshot, Stored } from "../../../broker/src/core/job.js";
import { stored } from "../../support/stored-jobs.js";

const ready = stored("ready", { seq: 7 });
const ended: Stored = { ...ready, phase: "succeeded", seq: 9, rev: ready.rev + 1 };
const snapshotOf = (current: Stored): Snapshot => ({ current, last: current.seq });

/** One ticket, looked into while `now` says what the store has; `asked` is called when the holders are. */
async function examine(now: () => Stored, asked: () => string[]): Promise<{ ran: boolean; acked: boolean }> {
  const outcome = { ran: false, acked: false };
  const ref = { task: ready.job.spec?.task ?? "", key: ready.job.spec?.key ?? "" };
  const ticket: Ticket = {
    lane: { task: ref.task, queue: ready.queue, priority: ready.priority },
    ref,
    seq: ready.seq,
    deliveries: 1,
    trusted: false,
    stored: ready,
    corrupt: undefined,
    ack: () => {
      outcome.acked = true;
    },
  };
  const peers: Pick<Peers, "ask"> = {
    ask: async () => ({ answers: [{ broker: "other", body: asked().map((id) => ({ id })) }], silent: 0 }),
  };
  const never = () => Promise.reject(new Error("nothing is changed here"));
  const ledger: Pick<Ledger, "change" | "bury"> = { change: never, bury: never };
  const log = { outcome() {}, debug() {}, info() {}, warn() {}, error() {} };
  const deliveries = new Deliveries({
    ledger,
    jobs: { read: async (refs) => refs.map(() => snapshotOf(now())) },
    peers,
    holdings: new Holdings(),
    telemetry: silent,
    log,
    accept: () => {
      outcome.ran = true;
    },
    isBuffered: () => false,
  });
  await deliveries.examine(ticket);
  return outcome;
}

test("that nobody holds and nothing has become of runs", async () => {
  expect(
    await examine(
      () => ready,
      () => [],
    ),
  ).toEqual({ ran: true, acked: false });
});

test("that somebody holds is left to him", async () => {
  const id = `${ready.job.spec?.task}~${ready.job.spec?.key}`;
  expect(
    await examine(
      () => ready,
      () => [id],
    ),
  ).toEqual({ ran: false, acked: false });
});

test("that has ended is acked", async () => {
  expect(
    await examine(
      () => ended,
      () => [],
    ),
  ).toEqual({ ran: false, acked: true });
});

test("whose holder stores its end between the read and the question does not run again", async () => {
  let now = ready;
  const asked = () => {
    // The end is stored, and the lease is held no more: nobody says that he has it.
    now = ended;
    return [];
  };
  expect(await examine(() => now, asked)).toEqual({ ran: false, acked: true });
});
