// Time that a test moves on: timers and the clock of the nats-server alike.

import { vi } from "vitest";

export const steppedClock = { now: () => Date.now() };

export function stepTime(): void {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1), toFake: ["setTimeout", "clearTimeout", "Date"] });
}

/** Lets time pass, and what comes of it happen. */
export function pass(ms: number): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(ms);
}
