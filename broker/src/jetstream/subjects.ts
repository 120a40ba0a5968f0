// The subjects of a namespace, where everything of it lies: broker/README.md lists them all, and a test holds that list to
// this file. What brokers say among themselves (`drover.<ns>.ctl.>`) is stored nowhere.
//
// A dot in a name is written `/`, which no name may hold, so that a name is always one token.

import type { ConcurrencyKey } from "../app/key-ports.js";
import type { LaneKey } from "../app/ports.js";
import type { JobRef, Phase } from "../core/job.js";
import { shardOf } from "../core/names.js";
import type { Limited } from "../core/run-limits.js";

/** Stands where a schedule has its nonce. */
const onlyOne = "0";

export interface JobSubject {
  phase: Phase;
  task: string;
  queue: string;
  priority: number;
  key: string;
}

export class Subjects {
  readonly #root: string;
  /** Task -> `drover.<ns>.<shard>.` and the task as a token. */
  readonly #tasks = new Map<string, { home: string; token: string }>();

  constructor(
    readonly namespace: string,
    readonly shards: number,
  ) {
    this.#root = `drover.${namespace}.`;
  }

  shard(task: string): number {
    return this.shards === 1 ? 0 : shardOf(task, this.shards);
  }

  stream(shard: number): string {
    return `DROVER_${this.namespace}_${shard}`;
  }

  /** A filter for each shard, with the stream that it is of. */
  *inEachShard(filterOf: (shard: number) => string): Generator<{ stream: string; filter: string }> {
    for (let shard = 0; shard < this.shards; shard++) {
      yield { stream: this.stream(shard), filter: filterOf(shard) };
    }
  }

  job(phase: Phase, ref: JobRef, queue: string, priority: number): string {
    const { home, token } = this.#task(ref.task);
    return `${home}job.${phase}.${token}.${asToken(queue)}.${priority}.${asToken(ref.key)}.${onlyOne}`;
  }

  /** Of a message that is a schedule. A firing purges its schedule's subject, whatever lies there by then, and a pass over
   *  many schedules can outlast several leases of a job, or its cancel and a new job of the same key (2,300 firings/s on
   *  one fsyncing node). So no two schedules share a subject: a ghost that took the one after its own would leave a job
   *  that nothing ends or runs any more. The nonce stands behind the key: the compare-and-set of every job of the task
   *  leaves queue and priority open, and would walk along all schedules if it stood further ahead. */
  schedule(phase: Phase, ref: JobRef, queue: string, priority: number, nonce: string): string {
    const { home, token } = this.#task(ref.task);
    return `${home}job.${phase}.${token}.${asToken(queue)}.${priority}.${asToken(ref.key)}.${nonce}`;
  }

  /** Every message of a job, whatever its phase, queue and priority: always this very text for a job, since the server
   *  serialises in-flight checks by it. */
  ofJob(ref: JobRef): string {
    const { home, token } = this.#task(ref.task);
    return `${home}job.*.${token}.*.*.${asToken(ref.key)}.*`;
  }

  body(ref: JobRef): string {
    const { home, token } = this.#task(ref.task);
    return `${home}body.${token}.${asToken(ref.key)}`;
  }

  claim(task: string, key: string): string {
    const { home, token } = this.#task(task);
    return `${home}unique.${token}.${asToken(key)}`;
  }

  keyUse({ task, key }: ConcurrencyKey): string {
    const { home, token } = this.#task(task);
    return `${home}key.use.${token}.${asToken(key)}`;
  }

  keyUses(shard: number): string {
    return `${this.#root}${shard}.key.use.*.*`;
  }

  parked({ task, key }: ConcurrencyKey, priority: number, jobKey: string): string {
    const { home, token } = this.#task(task);
    return `${home}key.parked.${token}.${asToken(key)}.${priority}.${asToken(jobKey)}`;
  }

  /** Those that wait for a place of a key, of one priority or all. */
  parkedOf({ task, key }: ConcurrencyKey, priority: number | "*" = "*"): string {
    const { home, token } = this.#task(task);
    return `${home}key.parked.${token}.${asToken(key)}.${priority}.*`;
  }

  lane(lane: LaneKey): string {
    const { home, token } = this.#task(lane.task);
    return `${home}job.ready.${token}.${asToken(lane.queue)}.${lane.priority}.*.*`;
  }

  /** All jobs of a shard in one phase, of one task or all, one queue or all. */
  phase(shard: number, phase: Phase, task?: string, queue?: string): string {
    const tokens = [task, queue].map((name) => (name === undefined ? "*" : asToken(name)));
    return `${this.#root}${shard}.job.${phase}.${tokens.join(".")}.*.*.*`;
  }

  bodies(shard: number): string {
    return `${this.#root}${shard}.body.>`;
  }

  all(shard: number): string {
    return `${this.#root}${shard}.>`;
  }

  queue(queue: string): string {
    return `${this.#root}0.queue.${asToken(queue)}`;
  }

  queues(): string {
    return `${this.#root}0.queue.*`;
  }

  taskSettings(task: string): string {
    return `${this.#root}0.task.${asToken(task)}`;
  }

  tasksSettings(): string {
    return `${this.#root}0.task.*`;
  }

  rateBook({ kind, name }: Limited): string {
    return `${this.#root}0.limit.rate.${kind}.${asToken(name)}`;
  }

  /** `broker` "*" = of all: always this very text for a limit, since the server serialises in-flight checks by it. */
  places({ kind, name }: Limited, broker: string): string {
    return `${this.#root}0.limit.places.${kind}.${asToken(name)}.${broker}`;
  }

  routes(): string {
    return `${this.#root}0.routes`;
  }

  schedules(kind: "record" | "alarm", name: string): string {
    return `${this.#root}cron.${kind}.${name === "*" ? name : asToken(name)}`;
  }

  firing(name: string): string {
    return `${this.#root}fire.${name === "*" ? name : asToken(name)}`;
  }

  flow(kind: "record" | "alarm", key: string): string {
    return `${this.#root}${this.shard(key)}.flow.${kind}.${asToken(key)}`;
  }

  flowPart(key: string, n: number | "*"): string {
    return `${this.#root}${this.shard(key)}.flow.part.${asToken(key)}.${n}`;
  }

  flowEnd(shard: number, key: string, what: string): string {
    return `${this.#root}${shard}.flow.end.${asToken(key)}.${what}`;
  }

  flowRecords(shard: number): string {
    return `${this.#root}${shard}.flow.record.*`;
  }

  flowEnds(shard: number): string {
    return `${this.#root}${shard}.flow.end.*.*`;
  }

  #task(task: string): { home: string; token: string } {
    let known = this.#tasks.get(task);
    if (known === undefined) {
      // Bounded: tasks come from requests, and a stranger may try any number of names.
      if (this.#tasks.size >= 10_000) this.#tasks.clear();
      known = { home: `${this.#root}${this.shard(task)}.`, token: asToken(task) };
      this.#tasks.set(task, known);
    }
    return known;
  }
}

/** Whether a subject matches a filter whose only wildcards are those for one token. */
export function isUnder(filter: string, subject: string): boolean {
  const wanted = filter.split(".");
  const tokens = subject.split(".");
  return wanted.length === tokens.length && wanted.every((token, i) => token === "*" || token === tokens[i]);
}

/** The parts of a job's subject, or undefined when it is no job's. */
export function parseJobSubject(subject: string): JobSubject | undefined {
  const tokens = subject.split(".");
  const [, , , kind, phase, task, queue, priority, key] = tokens;
  if (tokens.length !== 10 || kind !== "job") return undefined;
  if (phase === undefined || task === undefined || queue === undefined || key === undefined) return undefined;
  return {
    phase: phase as Phase,
    task: asName(task),
    queue: asName(queue),
    priority: Number.parseInt(priority ?? "", 10),
    key: asName(key),
  };
}

/** The key in a job's subject, without a look at the rest. */
export function keyIn(subject: string): string {
  const end = subject.lastIndexOf(".");
  return asName(subject.slice(subject.lastIndexOf(".", end - 1) + 1, end));
}

/** Flow and member (or what else) of a `flow.end` subject. */
export function parseFlowEnd(subject: string): { flow: string; what: string } | undefined {
  const [, , , kind, end, flow, what] = subject.split(".");
  if (kind !== "flow" || end !== "end" || flow === undefined || what === undefined) return undefined;
  return { flow: asName(flow), what };
}

/** Task and key of a body's subject. */
export function parseBodySubject(subject: string): JobRef | undefined {
  const tokens = subject.split(".");
  const [, , , kind, task, key] = tokens;
  if (tokens.length !== 6 || kind !== "body" || task === undefined || key === undefined) return undefined;
  return { task: asName(task), key: asName(key) };
}

/** The concurrency key of a `key.use` subject. */
export function keyUseIn(subject: string): ConcurrencyKey | undefined {
  const [, , , , use, task, key] = subject.split(".");
  if (use !== "use" || task === undefined || key === undefined) return undefined;
  return { task: asName(task), key: asName(key) };
}

/** The job's key, and its priority, in a `key.parked` subject. */
export function parkedIn(subject: string): { key: string; priority: number } | undefined {
  const [, , , , parked, , , priority, key] = subject.split(".");
  if (parked !== "parked" || key === undefined) return undefined;
  return { key: asName(key), priority: Number(priority) };
}

export function asToken(name: string): string {
  return name.includes(".") ? name.replaceAll(".", "/") : name;
}

export function asName(token: string): string {
  return token.includes("/") ? token.replaceAll("/", ".") : token;
}

/** The name of a schedule, in any of its subjects. */
export function scheduleIn(subject: string): string {
  return asName(subject.slice(subject.lastIndexOf(".") + 1));
}
