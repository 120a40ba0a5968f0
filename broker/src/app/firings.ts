// What becomes of a planned time. An alarm says only that a schedule is to be looked at; which times are due is worked
// out from its record, and a job's key is made of the schedule and the time. So whoever looks, and however often, each
// time gives one job. First the jobs are submitted, then the record moves on: a broker that dies in between leaves an
// alarm that comes again, and submits what is there already.

import { Refusal } from "../core/errors.js";
import { hasEnded, type JobRef, type Spec, stateOf } from "../core/job.js";
import { type RunTimes, scheduleLimits, times } from "../core/limits.js";
import { jobId, makeKey } from "../core/names.js";
import type { Routing } from "../core/routes.js";
import { keyOfTime, type Schedule } from "../core/schedule.js";
import { specOfDraft } from "../core/spec.js";
import type { Cancel } from "./cancel.js";
import { isPassing } from "./fences.js";
import {
  ackAll,
  countsOf,
  type Done,
  heedsOverlap,
  type Round,
  recordAfter,
  roundOf,
  timesToRun,
} from "./firing-rounds.js";
import type { Clock, Jobs, Peers } from "./ports.js";
import type { FiringTicket, KnownSchedule, ScheduleRecord, Schedules } from "./schedule-ports.js";
import type { Submit } from "./submit.js";
import { firedAs, type Log, type Telemetry } from "./telemetry.js";

const lookEvery = 60_000;
const topic = "schedules-changed";

export interface FiringsParts {
  schedules: Schedules;
  jobs: Pick<Jobs, "read">;
  submit: Pick<Submit, "submit">;
  cancel: Pick<Cancel, "cancel">;
  peers: Peers;
  clock: Clock;
  routes: Routing;
  read: (declared: Uint8Array) => Schedule;
  randomBytes: (n: number) => Uint8Array;
  log: Log;
  telemetry: Pick<Telemetry, "fired" | "schedulesOverdue">;
}

export class Firings {
  /** Ends when what is being looked at has been dealt with. */
  #round: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly parts: FiringsParts,
    readonly run: Pick<RunTimes, "misfireGrace"> = times,
  ) {
    parts.peers.answer(topic, () => this.#round.then(() => true));
  }

  start(): void {
    this.#timer = setInterval(() => void this.lookForStuck(), lookEvery);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Once no broker that can be heard works on what it read of a schedule before now. */
  async settled(): Promise<void> {
    await this.parts.peers.ask(topic, {});
  }

  /** Deals with firings. Never rejects: what could not be dealt with comes again. */
  look(tickets: readonly FiringTicket[]): Promise<void> {
    const round = this.#look(tickets).catch((error: unknown) => {
      if (!isPassing(error))
        this.parts.log.error({ error: String(error) }, "firings could not be dealt with");
    });
    // The search for stuck ones goes on beside what is delivered.
    this.#round = Promise.all([this.#round, round]).then(() => undefined);
    return round;
  }

  /** Deals with schedules whose alarm did not come although it is overdue: a firing that failed once is not tried again by
   *  the server. */
  async lookForStuck(): Promise<void> {
    try {
      const names = await this.parts.schedules.names();
      let overdue = 0;
      for (let i = 0; i < names.length; i += scheduleLimits.declared) {
        const known = await this.parts.schedules.read(names.slice(i, i + scheduleLimits.declared));
        const late = known.flatMap(({ record }) =>
          record !== undefined &&
          record.nextAt > 0 &&
          record.nextAt < this.parts.clock.now() - this.run.misfireGrace
            ? [record]
            : [],
        );
        overdue += late.length;
        if (late.length === 0) continue;
        this.parts.log.warn({ schedules: late.length }, "schedules did not fire, and are dealt with now");
        await this.look(late.map(({ name, nextAt }) => ({ name, plannedAt: nextAt, ack: () => undefined })));
      }
      this.parts.telemetry.schedulesOverdue(overdue);
    } catch (error) {
      if (!isPassing(error))
        this.parts.log.error({ error: String(error) }, "overdue schedules could not be looked for");
    }
  }

  /** Submits a schedule's job now, apart from its planned times. @throws Refusal */
  async submitNow(record: ScheduleRecord, schedule: Schedule): Promise<JobRef> {
    const now = this.parts.clock.now();
    const spec = this.#specOf(schedule, `${record.name}.${makeKey(now, this.parts.randomBytes(10))}`, now, 0);
    const [answer] = spec instanceof Refusal ? [spec] : await this.parts.submit.submit([spec], "return");
    if (answer instanceof Refusal) throw answer;
    if (answer === undefined) throw new Error("a submit without an answer");
    return answer.ref;
  }

  async #look(tickets: readonly FiringTicket[]): Promise<void> {
    const names = [...new Set(tickets.map(({ name }) => name))];
    const read = await this.parts.schedules.read(names);
    const known = new Map(names.map((name, i) => [name, read[i] as KnownSchedule]));
    const rounds = new Map<string, Round>();
    // Several of one schedule may come at once: those of a broker that died come again beside what fired since. Only the
    // one that its record waits for counts.
    for (const ticket of tickets) {
      const { record, seq } = known.get(ticket.name) as KnownSchedule;
      const awaited = record !== undefined && record.nextAt === ticket.plannedAt;
      const round = rounds.get(ticket.name);
      // Removed, paused, changed or dealt with since: the alarm is one of before.
      if (!awaited) ticket.ack();
      else if (round !== undefined) round.tickets.push(ticket);
      else {
        const schedule = this.parts.read(record.declared);
        const now = this.parts.clock.now();
        rounds.set(ticket.name, roundOf(ticket, { record, seq }, schedule, now, this.run.misfireGrace));
      }
    }
    await this.#heedOverlaps([...rounds.values()]);
    await this.#submitAll([...rounds.values()]);
  }

  /** Leaves out what may not run beside an earlier job, and says which jobs are to be submitted. */
  async #heedOverlaps(rounds: readonly Round[]): Promise<void> {
    const heeding = rounds.filter(heedsOverlap);
    const before = heeding.map(({ known }) => ({ task: known.record.lastTask, key: known.record.lastKey }));
    const snapshots = before.length === 0 ? [] : await this.parts.jobs.read(before);
    const running = new Set<Round>();
    for (const [i, round] of heeding.entries()) {
      const current = snapshots[i]?.current;
      // A time that was submitted by a broker that died then is not its own predecessor: its key tells.
      if (current === undefined || hasEnded(stateOf(current))) continue;
      running.add(round);
    }
    for (const round of rounds) {
      const { due, schedule, known } = round;
      const run = timesToRun(round, running.has(round));
      round.overlapped = due.run.filter((time) => !run.includes(time));
      round.jobs = run.map((plannedAt) => ({
        plannedAt,
        spec: this.#specOf(
          schedule,
          keyOfTime(known.record.name, plannedAt),
          plannedAt,
          schedule.jitter ?? 0,
        ),
      }));
      if (schedule.overlap === "cancel-previous" && running.has(round)) await this.#cancelPrevious(round);
    }
  }

  async #cancelPrevious({ known, schedule }: Round): Promise<void> {
    const { lastTask: task, lastKey: key } = known.record;
    try {
      await this.parts.cancel.cancel({ task, key }, `a later time of the schedule ${schedule.name} has come`);
    } catch (error) {
      if (!(error instanceof Refusal) || isPassing(error)) throw error;
    }
  }

  #specOf(schedule: Schedule, key: string, plannedAt: number, jitter: number): Spec | Refusal {
    const { job } = schedule;
    if (job === undefined) throw new Error("a schedule without a job");
    const now = this.parts.clock.now();
    const wait = (job.delay ?? 0) + (jitter > 0 ? Math.floor(this.#chance() * jitter) : 0);
    const runAt = wait > 0 ? plannedAt + wait : undefined;
    const checked = specOfDraft({ ...job, key, delay: undefined, runAt }, now, this.parts.routes);
    if ("violations" in checked) {
      const said = checked.violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
      return new Refusal("INVALID_ARGUMENT", said);
    }
    return { ...checked.spec, schedule: { schedule: schedule.name, plannedAt } };
  }

  /** 0 to 1. */
  #chance(): number {
    const bytes = this.parts.randomBytes(4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32;
  }

  async #submitAll(rounds: readonly Round[]): Promise<void> {
    const specs = rounds.flatMap(({ jobs }) =>
      jobs.flatMap(({ spec }) => (spec instanceof Refusal ? [] : [spec])),
    );
    const answers = await this.parts.submit.submit(specs, "return");
    const refusals = new Map<string, Refusal>();
    for (const [i, answer] of answers.entries()) {
      if (answer instanceof Refusal) refusals.set(jobId(specs[i] as Spec), answer);
    }
    const done: Done[] = [];
    for (const round of rounds) {
      const after = recordAfter(round, refusals, this.parts.clock.now(), this.parts.log);
      if (after !== undefined) done.push({ round, ...after });
    }
    await this.#moveOn(done);
  }

  /** All in one step; where somebody else changed one of them meanwhile, one by one. */
  async #moveOn(done: readonly Done[]): Promise<void> {
    const changeOf = ({ round, record }: Done) => ({
      name: record.name,
      record,
      seq: round.known.seq,
    });
    if (done.length === 0) return;
    if (await this.parts.schedules.write(done.map(changeOf))) {
      for (const each of done) this.#dealtWith(each);
      return;
    }
    for (const each of done) {
      // Changed since: another broker dealt with it, or its owner wants something else of it now. Either armed it anew.
      if (await this.parts.schedules.write([changeOf(each)])) this.#dealtWith(each);
      else ackAll(each.round);
    }
  }

  #dealtWith(done: Done): void {
    ackAll(done.round);
    const counts = countsOf(done);
    for (const outcome of firedAs)
      if (counts[outcome] > 0) this.parts.telemetry.fired(outcome, counts[outcome], this.parts.clock.now());
  }
}
