// Who ends a delay. The store does, always: it raises an alarm for every job that waits for its time. But it raises them
// one by one, so the broker that stored a delay keeps it in mind, has the alarm set a little later than the due time,
// and makes the job ready by itself before that. The alarm is the net under a broker that is gone or too slow.

import { counts, times } from "./limits.js";

export interface AgendaRules {
  /** Delays that a broker keeps in mind. */
  places: number;
  /** How many of them may be due in more than `distant` ms. */
  distantPlaces: number;
  distant: number;
}

export const agendaRules: AgendaRules = {
  places: counts.agenda,
  distantPlaces: counts.agendaDistant,
  distant: times.distant,
};

/** Whether a broker that keeps `taken` delays in mind may take one more, due in `wait` ms. Distant ones leave room: a
 *  backlog for next week must not hold up the retries of the next seconds. */
export function hasPlace(taken: number, wait: number, rules: AgendaRules): boolean {
  return taken < (wait > rules.distant ? Math.min(rules.distantPlaces, rules.places) : rules.places);
}

/** When the store's alarm is set for a delay that a broker keeps in mind. Without one it is the due time itself. */
export function netUnder(dueAt: number): number {
  return Math.min(dueAt + times.net, Math.max(dueAt, times.never));
}

/** What a broker does at `now`, a time that the store's clock has reached, about a delay it kept in mind. `leave`: the
 *  alarm is about to be raised, and two that do the same at once would only be in each other's way. */
export function verdictOn(dueAt: number, now: number): "wait" | "promote" | "leave" {
  if (now < dueAt) return "wait";
  return now - dueAt <= times.netIsNear ? "promote" : "leave";
}
