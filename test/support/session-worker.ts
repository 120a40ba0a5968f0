// A worker with a session, at the edge where gRPC would hand over: hears everything, does nothing by itself.

import type { Grant, Hello, Report, Session, SessionSink } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { plain, success } from "./job-calls.js";
import { until } from "./until.js";

export interface SessionOptions {
  worker?: string;
  instance?: string;
  queues?: Hello["queues"];
  /** Jobs. */
  credit?: number;
  held?: readonly string[];
  /** Called with each lease as it comes. */
  run?: (grant: Grant, worker: SessionWorker) => void;
  /** Pings are not answered. */
  silent?: boolean;
}

let instances = 0;

export class SessionWorker implements SessionSink {
  readonly instance: string;
  readonly grants: Grant[] = [];
  readonly recorded: number[] = [];
  readonly refused: { leaseId: number; reason: string }[] = [];
  readonly cancels: { leaseId: number; reason: string }[] = [];
  hello: Parameters<SessionSink["attached"]>[0] | undefined;
  drained = false;
  closedBecause: string | undefined;
  session: Session | undefined;
  #taken = 0;

  private constructor(
    readonly broker: RunningBroker,
    readonly options: SessionOptions,
  ) {
    instances += 1;
    this.instance = options.instance ?? `instance-${instances}`;
  }

  /** @throws Refusal */
  static async attach(
    broker: RunningBroker,
    tasks: string | readonly string[] | Readonly<Record<string, number>>,
    options: SessionOptions = {},
  ): Promise<SessionWorker> {
    const worker = new SessionWorker(broker, options);
    const names = typeof tasks === "string" ? [tasks] : tasks;
    const bounds: Hello["tasks"] = Array.isArray(names)
      ? names.map((task: string) => ({ task, concurrency: 0 }))
      : Object.entries(names as Record<string, number>).map(([task, concurrency]) => ({ task, concurrency }));
    worker.session = await broker.api.workers.attach(
      {
        worker: options.worker ?? `worker-${worker.instance}`,
        instance: worker.instance,
        sdk: "test",
        peer: "",
        tasks: bounds,
        queues: options.queues ?? [{ queue: "default", weight: 1 }],
        credit: { jobs: options.credit ?? 10, bytes: 64 * 1024 * 1024 },
        held: options.held ?? [],
      },
      worker,
    );
    return worker;
  }

  /** The next lease that nobody asked for yet. */
  next(within = 15_000): Promise<Grant> {
    const index = this.#taken++;
    return until("a lease", () => this.grants[index], within);
  }

  report(leaseId: number, report: Report = success()): void {
    this.session?.outcomes([{ leaseId, token: "", report }]);
  }

  /** Reports, and waits until the broker has recorded it. */
  async settle(leaseId: number, report?: Report): Promise<void> {
    this.report(leaseId, report);
    await until(`lease ${leaseId} to be settled`, () => this.recorded.includes(leaseId));
  }

  /** The connection breaks. */
  vanish(): void {
    this.session?.closed(false);
  }

  leave(): void {
    this.session?.closed(true);
  }

  attached(hello: Parameters<SessionSink["attached"]>[0]): void {
    this.hello = hello;
  }

  leases(grants: readonly Grant[]): void {
    for (const each of grants) {
      const grant = { ...each, ref: plain(each.ref) };
      this.grants.push(grant);
      this.options.run?.(grant, this);
    }
  }

  settled(
    recorded: readonly number[],
    refused: readonly { leaseId: number; refusal: { reason: string } }[],
  ): void {
    this.recorded.push(...recorded);
    this.refused.push(...refused.map(({ leaseId, refusal }) => ({ leaseId, reason: refusal.reason })));
  }

  cancel(leases: readonly { leaseId: number; reason: string }[]): void {
    this.cancels.push(...leases);
  }

  ping(): void {
    if (this.options.silent !== true) this.session?.pong();
  }

  drain(): void {
    this.drained = true;
  }

  close(reason: string): void {
    this.closedBecause = reason;
  }
}
