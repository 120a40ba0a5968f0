// Schedules as people handle them. Every change is one compare-and-set of the schedule's record, with its next alarm
// beside it; what becomes of an alarm stands in firings.ts.

import { Checks } from "../core/check.js";
import { invalid, Refusal, scheduleNotFound } from "../core/errors.js";
import { scheduleLimits } from "../core/limits.js";
import { jobId } from "../core/names.js";
import type { Routing } from "../core/routes.js";
import { checkSchedule, checkScheduleName, hasSameRule, planOf, type Schedule } from "../core/schedule.js";
import { withFiring } from "./firing-rounds.js";
import type { Firings } from "./firings.js";
import type { Clock } from "./ports.js";
import type { DeclaredSchedule, SchedulesApi, ScheduleView } from "./schedule-api.js";
import type { ScheduleOwners } from "./schedule-owners.js";
import type { KnownSchedule, ScheduleRecord, Schedules } from "./schedule-ports.js";

const attempts = 20;

export interface ScheduleControlParts {
  schedules: Schedules;
  owners: ScheduleOwners;
  firings: Pick<Firings, "settled" | "submitNow">;
  clock: Clock;
  routes: Routing;
  /** A schedule of the bytes that its owner sent. */
  read: (declared: Uint8Array) => Schedule;
}

export class ScheduleControl implements SchedulesApi {
  constructor(readonly parts: ScheduleControlParts) {}

  async put(request: {
    owner: string;
    schedules: readonly DeclaredSchedule[];
    removeUndeclared: boolean;
    dryRun: boolean;
  }) {
    const { owner, removeUndeclared, dryRun } = request;
    this.#check(owner, request.schedules);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const declared = request.schedules.map(({ schedule }) => schedule.name);
      const known = await this.parts.schedules.read(declared);
      // What is removed is looked for in the store; what is only told may be from memory.
      const owners = await (removeUndeclared ? this.parts.owners.read() : this.parts.owners.all());
      const undeclared = undeclaredOf(owner, new Set(declared), owners);
      const added: string[] = [];
      const changed: string[] = [];
      const unchanged: string[] = [];
      const writes: { name: string; record: ScheduleRecord | undefined; seq: number }[] = [];
      for (const [i, { schedule, bytes }] of request.schedules.entries()) {
        const { record, seq } = known[i] as KnownSchedule;
        if (record !== undefined && record.owner !== owner) throw ownedBy(record);
        if (record !== undefined && isSame(record.declared, bytes)) {
          unchanged.push(schedule.name);
          continue;
        }
        (record === undefined ? added : changed).push(schedule.name);
        writes.push({ name: schedule.name, record: this.#declare(owner, schedule, bytes, record), seq });
      }
      const answer = {
        added,
        changed,
        unchanged,
        undeclared: undeclared.slice(0, scheduleLimits.undeclaredTold),
      };
      if (dryRun) return answer;
      if (removeUndeclared && 2 * writes.length + undeclared.length > 2 * scheduleLimits.declared) {
        const description = `would remove ${undeclared.length} schedules beside what it declares, ${scheduleLimits.declared} are the limit: remove some by Delete first`;
        throw invalid([{ field: "remove_undeclared", description }]);
      }
      if (removeUndeclared) writes.push(...(await this.#removals(owner, undeclared)));
      if (await this.parts.schedules.write(writes)) {
        await this.#settled(writes);
        return answer;
      }
    }
    throw busy();
  }

  #check(owner: string, declared: readonly DeclaredSchedule[]): void {
    const checks = new Checks();
    checks.name("owner", owner);
    checks.size("schedules", declared.length, 0, scheduleLimits.declared);
    const places = new Map<string, number>();
    const now = this.parts.clock.now();
    for (const [i, { schedule }] of declared.slice(0, scheduleLimits.declared).entries()) {
      checkSchedule(checks, `schedules[${i}].`, schedule, now, this.parts.routes, true);
      const twin = places.get(schedule.name);
      if (twin !== undefined) {
        checks.add(`schedules[${i}].name`, `is the name of schedules[${twin}] as well: rename one`);
      }
      places.set(schedule.name, i);
    }
    checks.done();
  }

  /** Of those that are still there and still the owner's. */
  async #removals(owner: string, names: readonly string[]) {
    const known = await this.parts.schedules.read(names);
    return names
      .map((name, i) => ({ name, ...(known[i] as KnownSchedule) }))
      .filter(({ record }) => record?.owner === owner)
      .map(({ name, seq }) => ({ name, record: undefined, seq }));
  }

  /** Once what was written holds for every broker that can be heard. */
  async #settled(writes: readonly { name: string; record: ScheduleRecord | undefined }[]): Promise<void> {
    this.parts.owners.changed(writes.map(({ name, record }) => ({ name, owner: record?.owner })));
    await this.parts.firings.settled();
  }

  /** What was paused or resumed by hand stays so, unless its declaration says something new about it. */
  #declare(
    owner: string,
    schedule: Schedule,
    declared: Uint8Array,
    before: ScheduleRecord | undefined,
  ): ScheduleRecord {
    const now = this.parts.clock.now();
    const was = before && this.parts.read(before.declared);
    const goesOn = before !== undefined && was !== undefined && hasSameRule(was, schedule);
    const paused = before === undefined || was?.paused !== schedule.paused ? schedule.paused : before.paused;
    const record: ScheduleRecord = {
      ...(before ?? { firings: [], lastTask: "", lastKey: "", createdAt: now, nonce: "" }),
      name: schedule.name,
      owner,
      changedAt: now,
      declared,
      declaredAt: goesOn ? before.declaredAt : now,
      lastAt: goesOn && !before.paused ? before.lastAt : now,
      paused,
      nextAt: 0,
    };
    return { ...record, nextAt: paused ? 0 : (planOf(schedule, record.declaredAt).next(record.lastAt) ?? 0) };
  }

  async get(name: string): Promise<ScheduleView> {
    const [known] = await this.parts.schedules.read([checked(name)]);
    return this.#view(known?.record ?? missing(name));
  }

  async list(query: {
    owner: string;
    task: string;
    pageSize: number;
    pageToken: string;
  }): Promise<{ schedules: ScheduleView[]; nextPageToken: string }> {
    const { owner, task, pageSize, pageToken } = query;
    const names = (await this.parts.schedules.names()).filter((name) => name > pageToken);
    const schedules: ScheduleView[] = [];
    for (let i = 0; i < names.length && schedules.length <= pageSize; i += scheduleLimits.declared) {
      for (const { record } of await this.parts.schedules.read(names.slice(i, i + scheduleLimits.declared))) {
        if (record === undefined || (owner !== "" && record.owner !== owner)) continue;
        const view = this.#view({ ...record, firings: [] });
        if (task === "" || view.schedule.job?.task === task) schedules.push(view);
      }
    }
    const page = schedules.slice(0, pageSize);
    const last = page.at(-1)?.record.name ?? "";
    return { schedules: page, nextPageToken: schedules.length > page.length ? last : "" };
  }

  async remove(name: string): Promise<void> {
    await this.#change(name, () => undefined);
  }

  async pause(name: string): Promise<ScheduleView> {
    return this.#changed(name, (record, now) =>
      record.paused ? record : { ...record, paused: true, nextAt: 0, changedAt: now },
    );
  }

  async resume(name: string): Promise<ScheduleView> {
    return this.#changed(name, (record, now) => {
      if (!record.paused) return record;
      const plan = planOf(this.parts.read(record.declared), record.declaredAt);
      return { ...record, paused: false, lastAt: now, nextAt: plan.next(now) ?? 0, changedAt: now };
    });
  }

  async trigger(name: string): Promise<string> {
    const record = await this.#changed(name, (found) => found);
    const ref = await this.parts.firings.submitNow(record.record, record.schedule);
    const id = jobId(ref);
    await this.#change(name, (found, now) => {
      const firing = withFiring(found, { outcome: "triggered", plannedAt: now, handledAt: now, jobId: id });
      return { ...firing, lastTask: ref.task, lastKey: ref.key };
    });
    return id;
  }

  async preview(of: string | Schedule, count: number, from: number): Promise<number[]> {
    const now = this.parts.clock.now();
    if (typeof of === "string") {
      const { record, schedule } = await this.get(of);
      return planOf(schedule, record.declaredAt).between(from || now, Number.POSITIVE_INFINITY, count);
    }
    const checks = new Checks();
    const named = of.name === "" ? { ...of, name: "preview" } : of;
    checkSchedule(checks, "schedule.", named, now, this.parts.routes, false);
    checks.done();
    return planOf(of, now).between(from || now, Number.POSITIVE_INFINITY, count);
  }

  async #changed(
    name: string,
    change: (record: ScheduleRecord, now: number) => ScheduleRecord,
  ): Promise<ScheduleView> {
    const record = await this.#change(name, change);
    return this.#view(record ?? missing(name));
  }

  /** Changes a schedule, whoever else does at the same time; for every broker that can be heard it holds once this has
   *  settled. */
  async #change(
    name: string,
    change: (record: ScheduleRecord, now: number) => ScheduleRecord | undefined,
  ): Promise<ScheduleRecord | undefined> {
    checked(name);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [known] = await this.parts.schedules.read([name]);
      if (known?.record === undefined) throw scheduleNotFound(name);
      const record = change(known.record, this.parts.clock.now());
      if (record === known.record) return record;
      if (!(await this.parts.schedules.write([{ name, record, seq: known.seq }]))) continue;
      await this.#settled([{ name, record }]);
      return record;
    }
    throw busy();
  }

  #view(record: ScheduleRecord): ScheduleView {
    return { record, schedule: this.parts.read(record.declared) };
  }
}

/** What the owner has beside what it declares, by name. @throws Refusal where there would be too many of all owners */
function undeclaredOf(
  owner: string,
  declared: ReadonlySet<string>,
  owners: ReadonlyMap<string, string>,
): string[] {
  const undeclared: string[] = [];
  let total = declared.size;
  for (const [name, of] of owners) {
    if (declared.has(name)) continue;
    total++;
    if (of === owner) undeclared.push(name);
  }
  if (total > scheduleLimits.schedules) {
    const description = `would be more than ${scheduleLimits.schedules} over all owners: remove some first`;
    throw invalid([{ field: "schedules", description }]);
  }
  return undeclared.sort();
}

function checked(name: string): string {
  const checks = new Checks();
  checkScheduleName(checks, "name", name);
  checks.done();
  return name;
}

function missing(name: string): never {
  throw scheduleNotFound(name);
}

function ownedBy({ name, owner }: ScheduleRecord): Refusal {
  return new Refusal("OWNED_BY_ANOTHER", `schedule ${name} is declared by ${owner}: choose another name`, {
    metadata: { name, owner },
  });
}

function busy(): Refusal {
  return new Refusal("STORE_UNAVAILABLE", "the schedule is being changed by many at once", {
    retryAfter: 500,
  });
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
