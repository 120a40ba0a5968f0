// What may happen next in a world, by name. Two numbers pick among what there is; a step that finds nothing to do says
// so with false, and something that waits is let happen instead.

import type { Grant } from "../../../broker/src/app/worker-api.js";
import type { Spec } from "../../../broker/src/core/job.js";
import { jobId } from "../../../broker/src/core/names.js";
import { retrying } from "../stored-jobs.js";
import type { ModelBroker } from "./broker.js";
import { type Fate, theLane } from "./ports.js";
import { recordPhases } from "./store.js";
import { type ModelWorker, reportOf } from "./worker.js";
import { settled, type World } from "./world.js";

export type Step = readonly [name: StepName, a: number, b: number];
type Act = (world: World, a: number, b: number) => unknown;

const hour = 3_600_000;
const fates: Fate[] = ["answer-lost", "request-lost", "given-up", "given-up-stored"];
const refs = ["a", "b", "c"].map((key) => ({ task: theLane.task, key }));

const steps = {
  submit(world, a, b) {
    const spec = aSpec(world, b, a >> 1);
    void brokerOf(world, a)
      .intake.create(spec)
      .catch(() => undefined);
  },

  attach(world, a, b) {
    const worker = workerOf(world, a);
    const tokens = worker.leases.slice(-4).map(({ token }) => token);
    worker.attach(brokerOf(world, b), a & 2 ? [...new Set(tokens)] : []);
  },

  deliver(world, a, b) {
    const broker = brokerOf(world, a);
    const { tickets } = world.store;
    const delivery = b % 4 === 0 ? tickets.again(broker, b >> 2) : tickets.next(broker);
    if (delivery === undefined) return false;
    broker.delivered(delivery);
    return true;
  },

  ring(world, a, b) {
    const broker = brokerOf(world, a);
    const { alarms } = world.store;
    const first = b % 4 === 0 ? alarms.again(broker, b >> 2) : alarms.next(broker);
    if (first === undefined) return false;
    const second = b % 4 === 1 ? alarms.next(broker) : undefined;
    broker.rang(second === undefined ? [first.message] : [first.message, second.message]);
    return true;
  },

  /** A broker ends the delays that it kept in mind. */
  promote(world, a) {
    const { promoter, agenda } = brokerOf(world, a);
    const { next } = agenda;
    if (next === undefined || next > world.clock.reached()) return false;
    void promoter.round();
    return true;
  },

  go(world, a, b) {
    world.go(a, fates[b] ?? "answered");
  },

  /** A ticket that waits in a broker is leased in a single call, for 5 or 60 s. */
  call(world, a, b) {
    const broker = brokerOf(world, a);
    const worker = workerOf(world, a >> 1);
    const ticket = refs
      .map((ref) => broker.dispatcher.discard(jobId(ref)))
      .find((found) => found !== undefined);
    if (ticket === undefined) return false;
    const nothing = () => undefined;
    const holder = {
      worker: worker.instance,
      instance: "",
      unary: true,
      cancelled: nothing,
      released: nothing,
      vouched: nothing,
    };
    const keep = (grant: Grant | undefined) => {
      if (grant !== undefined) worker.given(broker, undefined, [grant]);
    };
    const granted = broker.granting.grant(ticket, holder, 0, b & 1 ? 60_000 : 5_000);
    if (granted instanceof Promise) void granted.then((later) => keep(later?.grant));
    else keep(granted.grant);
    return true;
  },

  /** On one of the last leases, whether the worker still has it or not. */
  report(world, a, b) {
    const worker = workerOf(world, a);
    const lease = pick(worker.leases.slice(-4), a >> 1);
    if (lease === undefined) return false;
    worker.report(lease, brokerOf(world, b), reportOf(lease.token, b >> 1));
    return true;
  },

  extend(world, a, b) {
    const lease = pick(workerOf(world, a).leases, a >> 1);
    if (lease === undefined) return false;
    void brokerOf(world, b).unary.extend([{ token: lease.token, duration: 30_000, progress: undefined }]);
    return true;
  },

  renew(world, a, b) {
    const broker = brokerOf(world, a);
    const holding = pick([...broker.holdings.all()], b);
    if (holding === undefined || holding.renewing || holding.settling) return false;
    void broker.keeper.renew(holding);
    return true;
  },

  /** The clock ends a run, or its session has been away for too long. */
  end(world, a, b) {
    const { holdings, settling } = brokerOf(world, a);
    const holding = pick([...holdings.all()], b >> 1);
    if (holding === undefined) return false;
    if (holding.cancelRequested && b & 1) void settling.end(holding, "cancelled");
    else if (holding.holder.unary && holding.ticket === undefined) settling.letGo(holding);
    else void settling.end(holding, b & 1 ? "time-limit" : "lose");
    return true;
  },

  cancel(world, a, b) {
    void brokerOf(world, a)
      .cancel.cancel(refOf(b), "")
      .catch(() => undefined);
  },

  /** To another priority; in this world one lane is as good as the other. */
  move(world, a, b) {
    void brokerOf(world, a)
      .move.move(refOf(b), { queue: undefined, priority: 4 + (a % 3) })
      .catch(() => undefined);
  },

  /** Mostly of one that failed. */
  redrive(world, a, b) {
    const failed = world.witness.jobs().filter(({ ended }) => ended === "failed");
    const ref = b % 8 === 0 ? refOf(b) : pick(failed, b)?.ref;
    if (ref === undefined) return false;
    void brokerOf(world, a)
      .cancel.redrive(ref)
      .catch(() => undefined);
    return true;
  },

  /** Time passes; buffers may be looked through. */
  wait(world, a, b) {
    world.time += a * 1_000 * (b + 1);
    world.store.expire(world.time, false);
    for (const broker of world.brokers) if (b & 1) broker.dispatcher.expire();
  },

  pass(world) {
    world.store.startPass(world.time);
  },

  fire(world) {
    world.store.startPass(world.time);
    if (world.store.pass.length === 0) return false;
    world.store.fire();
    return true;
  },

  sweep(world, a) {
    world.store.sweep(a & 1 ? world.store.tickets : world.store.alarms);
  },

  /** Consumers are written to disk now and then only. */
  flush(world) {
    world.store.tickets.flush();
    world.store.alarms.flush();
  },

  /** A broker is heard by the others no more, or again. */
  cut(world, a) {
    const broker = brokerOf(world, a);
    broker.cutOff = !broker.cutOff;
  },

  killBroker(world, a) {
    world.replace(brokerOf(world, a));
  },

  /** SIGKILL, perhaps in the middle of a firing. Everybody reconnects and draws a new trust line. */
  killStore(world, a) {
    if (a & 1) world.store.fire(true);
    world.store.restart();
    for (const broker of world.brokers) broker.trustAbove = world.store.last;
  },

  /** An hour: what is under way is over, schedules fire, records age. Bulk retention is the brokers' work, so there is
   *  none while all of them are away; what has a time of its own goes all the same. (That they all go away within the
   *  seconds between a ghost and its sweep, and stay away for as long as a record is kept, is left out: it would bring a
   *  job back.) */
  async age(world, a, b) {
    const { store } = world;
    await world.goAll();
    world.firePass();
    const away = (a & 1) === 1 && !isHaunted(world);
    // An alarm of a lease that somebody still holds is left unacked, and comes again half a minute later. What was acked
    // behind it is swept then.
    for (let round = 0; round < 3 && !away; round++) {
      world.ringAll(brokerOf(world, a >> 1));
      await world.goAll();
    }
    world.time += hour;
    world.firePass();
    store.expire(world.time, true);
    if (away) return;
    store.sweep(store.tickets);
    store.sweep(store.alarms);
    // Each kind of record has an age of its own.
    store.retire(recordPhases.filter((_, i) => b % 8 === 0 || (b >> i) & 1));
  },
} as const satisfies Record<string, Act>;
export type StepName = keyof typeof steps;

/** Takes a step and waits until everybody waits for the next. */
export async function take(world: World, [name, a, b]: Step): Promise<void> {
  const act: Act = steps[name];
  if ((await act(world, a, b)) === false) steps.go(world, a, b);
  await settled();
  world.witness.look();
}

/** Whether an alarm lies about of a schedule that had been ended before it fired. */
function isHaunted({ store }: World): boolean {
  return store
    .messages("due")
    .some(({ ref, stored }) => stored !== undefined && stored.rev !== store.read(ref).current?.rev);
}

function aSpec(world: World, key: number, kind: number): Spec {
  const retry = { maxAttempts: 3, maxCrashes: kind & 1 ? 0 : 2, initialDelay: 10_000 };
  const retention = kind & 2 ? { retention: 600_000 } : {};
  const runAt = kind & 4 ? world.time + 20_000 : 0;
  return retrying(retry, { ...refOf(key), queue: theLane.queue, runAt, ...retention });
}

function pick<T>(all: readonly T[], n: number): T | undefined {
  return all[n % Math.max(1, all.length)];
}

function brokerOf(world: World, n: number): ModelBroker {
  return pick(world.brokers, n) as ModelBroker;
}

function workerOf(world: World, n: number): ModelWorker {
  return pick(world.workers, n) as ModelWorker;
}

function refOf(n: number) {
  return pick(refs, n) as (typeof refs)[number];
}
