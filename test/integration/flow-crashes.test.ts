// A broker that dies between any two of its stored steps, while it submits a flow or moves it on, leaves nothing half
// done: another one finishes, every member runs, and what comes last runs once.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Grant, Report } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Refusal } from "../../broker/src/core/errors.js";
import { type FlowSpec, flowOfDraft } from "../../broker/src/core/flow-spec.js";
import { flowLimits } from "../../broker/src/core/limits.js";
import { failure, success } from "../support/job-calls.js";
import { MortalBroker } from "../support/mortal-broker.js";
import { Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const PERMANENT = 2;
const key = "flow";
const task = "member";
/** Namespaces with a dying broker each that are looked at side by side. */
const atOnce = 16;
/** What a dead broker had in its hands comes to the next one after this, ms. */
const ackWait = 1_000;

let scene: Scene;
let namespaces = 0;

beforeAll(async () => {
  scene = await Scene.open();
});
afterAll(() => scene.close());

function flowOf(dependsOn: number[][], payload = "1"): FlowSpec {
  const data = { data: new TextEncoder().encode(payload), contentType: "" };
  const job = { task, key: "", labels: {}, headers: {}, payload: data };
  const members = dependsOn.map((on) => ({ job, dependsOn: on, onFailure: 0, name: "" }));
  return flowOfDraft({ key, name: "", members, deadline: undefined, labels: {} }, Date.now());
}

/** A worker that outlives its broker, and takes along to the next one what it has not been rid of. */
class Survivor {
  readonly ran: number[] = [];
  #session: SessionWorker | undefined;
  #reports = new Map<string, Report>();

  constructor(readonly act: (member: number, ran: readonly number[]) => Report) {}

  async attach(to: RunningBroker, gone: () => boolean = () => false): Promise<void> {
    const before = this.#session;
    const settled = new Set([...(before?.recorded ?? []), ...(before?.refused.map((r) => r.leaseId) ?? [])]);
    // What a dead broker still said never reached it.
    const held = (before?.grants ?? []).filter(
      ({ leaseId, token }) => !settled.has(leaseId) && this.#reports.has(token),
    );
    const run = (grant: Grant, session: SessionWorker) => {
      if (gone()) return;
      const member = grant.spec.flow?.member ?? -1;
      const report = this.act(member, this.ran);
      this.ran.push(member);
      this.#reports.set(grant.token, report);
      session.report(grant.leaseId, report);
    };
    const session = await SessionWorker.attach(to, [task], {
      instance: `survivor-${this.#id}`,
      credit: 100,
      held: held.map(({ token }) => token),
      run,
    });
    this.#session = session;
    for (const { token, leaseId } of session.hello?.held ?? []) {
      session.report(leaseId, this.#reports.get(token) ?? success());
    }
  }

  readonly #id = namespaces;
}

/** One broker that dies after so many steps, and one that goes on. */
class Succession {
  readonly env = { DROVER_NAMESPACE: `crash-${++namespaces}` };
  broker!: RunningBroker;
  mortal!: MortalBroker;

  constructor(
    readonly life: number,
    readonly worker: Survivor,
  ) {}

  async open(): Promise<this> {
    this.broker = await scene.broker({ ackWait }, this.env);
    this.mortal = new MortalBroker(this.broker, this.life);
    await this.worker.attach(this.broker, () => this.mortal.dead);
    return this;
  }

  /** Does it with the broker that lives: once more, should the first die of it. */
  async call<T>(what: (broker: RunningBroker) => Promise<T>): Promise<T> {
    const { broker, mortal } = this;
    if (broker === mortal.broker) {
      const answer = await Promise.race([
        what(broker).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        ),
        mortal.died,
      ]);
      if (!mortal.dead && answer !== undefined) {
        if ("error" in answer) throw answer.error;
        return answer.value;
      }
      await mortal.died;
      this.broker = await scene.broker({ ackWait }, this.env);
      await this.worker.attach(this.broker);
    }
    return what(this.broker);
  }

  /** Until the flow has ended. */
  async ended(): Promise<string> {
    return until(
      `the flow to end after ${this.mortal.steps.length} steps, the last ${this.mortal.steps.at(-1)}`,
      () =>
        this.call(async (broker) => {
          const { state } = await broker.api.flows.get(key);
          return state === "RUNNING" ? undefined : state;
        }),
      30_000,
    );
  }

  /** Until the job of a member has been cancelled. */
  async cancelled(member: number): Promise<void> {
    await until("the member to be cancelled", () =>
      this.call(async ({ api }) => {
        const { members } = await api.flows.members(key, member, 1, { results: false, lastOnly: false });
        const [job] = await api.jobs.status(members, false);
        return job?.state === "CANCELLED";
      }),
    );
  }

  /** Until there is nothing left to be done for the flow by anybody. */
  async quiet(): Promise<void> {
    // Asked on the test's own connection, and through `call`: the last ack may be what the first broker dies of.
    await until("every ticket of the flow to be acked", () =>
      this.call(async ({ parts }) => {
        const stream = parts.store.subjects.stream(0);
        const { num_pending, num_ack_pending } = await scene.jsm.consumers.info(stream, "flows");
        return num_pending + num_ack_pending === 0;
      }),
    );
  }
}

/** Calls with 0, 1, 2, ... until one says that its broker did not die. What each broker did is returned. */
async function everyLife(live: (life: number) => Promise<MortalBroker>): Promise<MortalBroker[]> {
  const lived: MortalBroker[] = [];
  let survived = false;
  let next = 0;
  const one = async () => {
    while (!survived) {
      const mortal = await live(next++);
      lived.push(mortal);
      if (!mortal.dead) survived = true;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return lived.filter(({ dead }) => dead);
}

const kindsOf = (lived: readonly MortalBroker[]) =>
  [...new Set(lived.map(({ steps }) => steps.at(-1) ?? "nothing"))].sort();

async function submitted(on: Succession, flow: FlowSpec): Promise<void> {
  await on.call((broker) => broker.api.flows.submit(flow));
}

describe("a broker that dies between any two steps", () => {
  test("of submitting a chord in a chain and handing its results on: each member runs once", async () => {
    const flow = flowOf([[], [0], [0], [1, 2], [3]]);
    const lived = await everyLife(async (life) => {
      const worker = new Survivor((member) => success(String(member)));
      const on = await new Succession(life, worker).open();
      await submitted(on, flow);
      expect(await on.ended()).toBe("SUCCEEDED");
      await on.quiet();
      expect([life, worker.ran.toSorted()]).toEqual([life, [0, 1, 2, 3, 4]]);
      await scene.stop(on.broker);
      return on.mortal;
    });
    expect(kindsOf(lived)).toEqual(
      expect.arrayContaining([
        "ack flows",
        "ack lane",
        "flow.end",
        "flow.part",
        "flow.record",
        "job.blocked",
        "job.ready",
        "job.succeeded",
        "nothing",
      ]),
    );
  }, 120_000);

  test("of failing a flow and redriving it: what failed and what waited for it run once more, and once", async () => {
    const flow = flowOf([[], [0], [1]]);
    const lived = await everyLife(async (life) => {
      const worker = new Survivor((member, ran) =>
        member === 1 && !ran.includes(1) ? failure(PERMANENT) : success(),
      );
      const on = await new Succession(life, worker).open();
      await submitted(on, flow);
      expect(await on.ended()).toBe("FAILED");
      // In every second life the redrive comes after what the failure cancels, in the others before or amid that.
      if (life % 2 === 1) await on.cancelled(2);
      await on.call(async (broker) => {
        await broker.api.flows.redrive(key).catch((error: unknown) => {
          // Asked for the second time after a broker died of the first.
          if (!(error instanceof Refusal) || error.reason !== "NOT_FAILED" || !on.mortal.dead) throw error;
        });
      });
      expect(await on.ended()).toBe("SUCCEEDED");
      await on.quiet();
      expect([life, worker.ran]).toEqual([life, [0, 1, 1, 2]]);
      await scene.stop(on.broker);
      return on.mortal;
    });
    expect(kindsOf(lived)).toEqual(expect.arrayContaining(["job.failed", "job.kept", "job.ready"]));
  }, 120_000);

  test("of a submit that nobody repeats: all of the flow runs, or nothing of it is left", async () => {
    const flow = flowOf([[], [0]]);
    let left = 0;
    await everyLife(async (life) => {
      const worker = new Survivor(() => success());
      const on = await new Succession(life, worker).open();
      await Promise.race([on.broker.api.flows.submit(flow), on.mortal.died]).catch(() => undefined);
      if (on.mortal.dead) {
        await on.call((broker) => broker.parts.flows.sweep(Date.now() + flowLimits.abandoned + 10_000));
        const begun = await on.broker.parts.store.flows.read(key);
        if (begun === undefined) {
          left += 1;
          expect([life, worker.ran]).toEqual([life, []]);
          // Its key is free again, also for another flow.
          await submitted(on, flowOf([[], []], "2"));
          expect([life, await on.ended(), worker.ran.toSorted()]).toEqual([life, "SUCCEEDED", [0, 1]]);
          return finished(on);
        }
      }
      expect([life, await on.ended(), worker.ran]).toEqual([life, "SUCCEEDED", [0, 1]]);
      return finished(on);
    });
    expect(left).toBeGreaterThan(4);
  }, 120_000);
});

async function finished(on: Succession): Promise<MortalBroker> {
  await scene.stop(on.broker);
  return on.mortal;
}
