// Work of which every number is known, for those who compare it with what Prometheus says.

import type { Message, Stranger } from "../support/stranger.js";
import { elapsed, until } from "../support/until.js";

/** No lease ends by itself, however slow the machine is. */
const lasting = { seconds: 3_600 };
const later = { seconds: 3_600 };

export const traceId = "0af7651916cd43dd8448eb211c80319c";
const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };

export class KnownLoad {
  #round = 0;
  #over = false;
  /** A worker that nothing is handed out to. */
  #waiting: Promise<void> | undefined;

  constructor(private readonly stranger: Stranger) {}

  /** Of `mail`: 7 stored, one of them twice; 5 begun: 3 succeed, 1 fails for good, 1 is to be tried in an hour. Of
   *  `crash` one is stored and begun, and its worker lost, whose report comes too late. One submit is refused. A flow is stored, of which one member waits for the other. */
  async round(): Promise<void> {
    const key = (i: number) => `k${this.#round}-${i}`;
    for (let i = 0; i < 7; i++) await this.#submit({ task: "mail", key: key(i), headers });
    await this.#submit({ task: "mail", key: key(0), headers });
    const [a, b, c, d, e] = await this.#lease("mail", 5);
    await this.stranger.call("WorkerService/Ack", {
      outcomes: [
        { token: a, success: {} },
        { token: b, success: {} },
        { token: c, success: {} },
        { token: d, failure: { reason: "FAILURE_REASON_PERMANENT", message: "broken" } },
        { token: e, failure: { message: "busy", retryAfter: later } },
      ],
    });
    await this.#submit({ task: "crash", key: key(0), retry: { maxCrashes: 100 } });
    const [gone] = await this.#lease("crash", 1, { seconds: 1 });
    await until("the lease to be lost", () => this.#isLostAgain(), 60_000);
    await this.stranger.call("WorkerService/Ack", { outcomes: [{ token: gone, success: {} }] });
    await this.stranger.refused("JobService/Submit", { job: { task: "no task" } });
    await this.stranger.call("FlowService/Submit", {
      flow: {
        members: [{ job: { task: "step" } }, { job: { task: "step" }, dependsOn: [0] }],
      },
    });
    this.#round++;
  }

  /** Once, after the rounds: 1 of `mail` runs; of three in a queue that may start one a day, one runs, and a worker waits
   *  for the others. */
  async hold(): Promise<void> {
    await this.#lease("mail", 1);
    await this.stranger.call("QueueService/Update", {
      queue: "slow",
      limits: { rate: { count: 1, period: { seconds: 86_400 } }, concurrency: 4 },
    });
    for (let i = 0; i < 3; i++) await this.#submit({ task: "report", queue: "slow" });
    await this.#lease("report", 1, lasting, "slow");
    const asked = { worker: "w", tasks: ["report"], queues: ["slow"], wait: { seconds: 60 } };
    this.#waiting = this.#ask(asked);
  }

  /** Settles once the worker waits no more: the broker is to be stopped first. */
  async end(): Promise<void> {
    this.#over = true;
    await this.#waiting;
  }

  /** A schedule that fires four times, once a second. Settles once it has. */
  async fire(name: string): Promise<void> {
    const startAt = Math.floor(Date.now() / 1_000) + 5;
    const schedule = {
      name,
      interval: { seconds: 1 },
      job: { task: "tick" },
      startAt: { seconds: startAt },
      endAt: { seconds: startAt + 3, nanos: 500_000_000 },
    };
    await this.stranger.call("ScheduleService/Put", { owner: "test", schedules: [schedule] });
    await until(
      "the schedule to have fired for the last time",
      async () => {
        const { schedule: view } = (await this.stranger.call("ScheduleService/Get", { name })) as {
          schedule: Message;
        };
        return view.nextAt === null;
      },
      60_000,
    );
  }

  /** It is the first one each time: it has waited longest. */
  async #isLostAgain(): Promise<boolean> {
    const { job } = await this.stranger.call("JobService/Status", { id: "crash~k0-0" });
    return Number((job as Message).crashes) > this.#round;
  }

  async #ask(asked: Message): Promise<void> {
    while (!this.#over) await this.stranger.call("WorkerService/Lease", asked).catch(() => elapsed(100));
  }

  async #submit(job: Message): Promise<void> {
    await this.stranger.call("JobService/Submit", { job });
  }

  /** Their tokens. */
  async #lease(task: string, count: number, leaseDuration = lasting, queue = "default"): Promise<string[]> {
    const tokens: string[] = [];
    while (tokens.length < count) {
      const { leases } = await this.stranger.call("WorkerService/Lease", {
        worker: "w",
        tasks: [task],
        queues: [queue],
        maxJobs: count - tokens.length,
        wait: { seconds: 10 },
        leaseDuration,
      });
      tokens.push(...(leases as { token: string }[]).map(({ token }) => token));
    }
    return tokens;
  }
}
