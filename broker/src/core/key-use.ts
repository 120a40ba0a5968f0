// Who has the places of a concurrency key. A place belongs to a lease: it is taken by the ticket that a job runs from,
// and worth nothing once the job has moved on from that, whether anybody gave it back or not. A job that found no place
// is parked, and one that is admitted has its place reserved until its ticket reaches a worker. Pure: who still runs and
// who waits is told to these rules.

/** A place that is taken. */
export interface Taken {
  /** The job's key. */
  key: string;
  /** Sequence of the ticket that it runs from; 0 = reserved for a job that is admitted and does not run yet. */
  origin: number;
  /** ms since 1970. */
  since: number;
}

export interface KeyUse {
  taken: Taken[];
  /** When somebody last meant to park a job here, ms; 0 = nobody waits. */
  parkedAt: number;
}

/** A job that waits for a place, and how many of its key may run where it waits. */
export interface Waiter {
  key: string;
  most: number;
}

export const unusedKey: KeyUse = { taken: [], parkedAt: 0 };

/** A parking that was meant may take this long, ms; the mark that makes everybody look is renewed after the shorter. */
const parking = { atMost: 60_000, renewed: 10_000 } as const;

/** Takes a place for a ticket that is about to be handed out. A job that was promised one has it; another has to be
 *  behind those that wait. */
export function take(
  use: KeyUse,
  job: { key: string; origin: number; most: number },
  othersWait: boolean,
  now: number,
): { use: KeyUse; taken: boolean } {
  const { key, origin, most } = job;
  const others = use.taken.filter((each) => each.key !== key);
  const promised = others.length < use.taken.length;
  if (others.length >= most || (othersWait && !promised))
    return { use: { ...use, taken: others }, taken: false };
  return { use: { ...use, taken: [...others, { key, origin, since: now }] }, taken: true };
}

/** Gives the place of a lease back, or one that was reserved (origin 0). The same object: it had none. */
export function giveBack(use: KeyUse, key: string, origin: number): KeyUse {
  const taken = use.taken.filter((each) => each.key !== key || each.origin !== origin);
  return taken.length === use.taken.length ? use : { ...use, taken };
}

/** Only with the places of which `isGood` holds. The same object: all of them are. */
export function sifted(use: KeyUse, isGood: (taken: Taken) => boolean): KeyUse {
  const taken = use.taken.filter(isGood);
  return taken.length === use.taken.length ? use : { ...use, taken };
}

/** Reserves what is free for those that have waited longest; `waiters` in their order. */
export function reserve(use: KeyUse, waiters: readonly Waiter[], now: number): KeyUse {
  const taken = [...use.taken];
  for (const { key, most } of waiters) {
    if (taken.some((each) => each.key === key)) continue;
    if (taken.length >= most) break;
    taken.push({ key, origin: 0, since: now });
  }
  return taken.length === use.taken.length ? use : { ...use, taken };
}

/** Says that a job is about to be parked, so that it is looked after whoever dies on the way. */
export function aboutToPark(use: KeyUse, now: number): KeyUse {
  return now - use.parkedAt < parking.renewed ? use : { ...use, parkedAt: now };
}

/** Nobody waits, as far as can be seen: true once nobody can be on the way either. */
export function noneWait(use: KeyUse, now: number): KeyUse {
  return use.parkedAt > 0 && now - use.parkedAt > parking.atMost ? { ...use, parkedAt: 0 } : use;
}
