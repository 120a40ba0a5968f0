// One clock, the nats-server's. Leases and delays are schedules that the server fires by its own time; a broker that
// wrote them by its local time would end every lease at once when it runs 40 s behind. So each answer of the JetStream
// API that tells the time moves this clock, and everything that writes a time reads it here.
//
// It counts on the local monotonic clock, so that setting the local time changes nothing.

import type { Clock, SureClock } from "../app/ports.js";

/** One answer with the server's time in it. All times are ms. */
export interface TimeSample {
  /** The server's time, since 1970. */
  server: number;
  /** When the request left and its answer came, on the local monotonic clock (performance.now()). */
  sent: number;
  received: number;
  /** The local wall clock when the answer came, since 1970. */
  wall: number;
}

/** What is known of the server's time. `offset` and `wallOffset` are ms to add to the monotonic clock. */
export interface ClockState {
  /** Gives the server's time. */
  readonly offset: number;
  /** How far from the truth the best of the last samples may have been, ms, when it came (monotonic). */
  readonly doubt: { by: number; at: number };
  /** Gave a time that the server's clock had certainly reached, when the last sample came (monotonic). */
  readonly sure: { offset: number; at: number };
  /** Gave the local wall clock's time at the last sample that was believed. */
  readonly wallOffset: number;
  /** Another time that samples speak for, not believed yet: where it is, how sure, and since when (monotonic). */
  readonly rival: { offset: number; doubt: number; since: number } | undefined;
  /** The last sample that did not fit: by how much, and when (monotonic). */
  readonly misfit: { by: number; at: number } | undefined;
}

export const clockRules = {
  /** A sudden change of more than this is not believed at once, ms. */
  tolerance: 5_000,
  /** Samples that all speak for another time during this long, ms, are believed. */
  settle: 10_000,
  /** How long a sample that did not fit makes the clock doubtful, ms. */
  memory: 15_000,
  /** The most that the two clocks drift apart in a ms: what ntp may slew by. */
  slew: 0.0005,
  /** Share of a deviation that one sample corrects; of one that is less sure than what is known, less by as much. */
  gain: 0.1,
} as const;

/** The state after one more sample. Pure. */
export function observe(state: ClockState | undefined, sample: TimeSample): ClockState {
  const measured = sample.server - (sample.sent + sample.received) / 2;
  // The server read its clock between sending and receiving: the truth is no further away than this. The millisecond
  // is what parsing cuts off.
  const doubt = (sample.received - sample.sent) / 2 + 1;
  const wallOffset = sample.wall - sample.received;
  // It read its clock before the answer came: whatever the trip took, by then it was at least that late.
  const sure = { offset: sample.server - sample.received, at: sample.received };
  const known = { by: doubt, at: sample.received };
  const believed = { offset: measured, doubt: known, sure, wallOffset, rival: undefined, misfit: undefined };
  if (state === undefined) return believed;

  const deviation = measured - state.offset;
  if (Math.abs(deviation) <= clockRules.tolerance + doubt) {
    const doubtBefore = doubtAt(state, sample.received);
    const smooth = state.offset + clockRules.gain * Math.min(1, doubtBefore / doubt) * deviation;
    const offset = Math.min(measured + doubt, Math.max(measured - doubt, smooth));
    const before = surelyAt(state, sample.received);
    if (before > sure.offset) sure.offset = before;
    const best = doubt <= doubtBefore ? known : state.doubt;
    return { offset, doubt: best, sure, wallOffset, rival: undefined, misfit: state.misfit };
  }

  // A machine that slept: its monotonic clock stood still, so that the server and the wall clock moved on alike.
  const wallMoved = wallOffset - state.wallOffset;
  if (Math.abs(deviation - wallMoved) <= clockRules.tolerance + doubt) return believed;

  const misfit = { by: deviation, at: sample.received };
  const { rival } = state;
  if (rival === undefined || Math.abs(measured - rival.offset) > doubt + rival.doubt + clockRules.tolerance) {
    return { ...state, rival: { offset: measured, doubt, since: sample.received }, misfit };
  }
  if (sample.received - rival.since >= clockRules.settle) return believed;
  return { ...state, rival: { offset: measured, doubt, since: rival.since }, misfit };
}

/** How far from the truth the best of the last samples may be by now, ms. */
function doubtAt({ doubt }: ClockState, at: number): number {
  return doubt.by + clockRules.slew * Math.max(0, at - doubt.at);
}

/** ms to add to the monotonic clock at `at` for a time that the server's has certainly reached. */
export function surelyAt(state: ClockState, at: number): number {
  return state.sure.offset - clockRules.slew * Math.max(0, at - state.sure.at);
}

/** By how much (ms) the server's time has been moving without a reason at a monotonic time; 0 when it has not. */
export function driftAt(state: ClockState | undefined, at: number): number {
  const misfit = state?.misfit;
  return misfit !== undefined && at - misfit.at < clockRules.memory ? misfit.by : 0;
}

export class ServerClock implements Clock, SureClock {
  #state: ClockState | undefined;
  #last = 0;

  /** Takes one answer's time into account. */
  observe(sample: TimeSample): void {
    this.#state = observe(this.#state, sample);
  }

  /** Whether the server's time is known at all. Before that now() is the local time. */
  get synced(): boolean {
    return this.#state !== undefined;
  }

  /** ms since 1970. Small corrections never move it back: it stands still instead, and follows the server's clock back
   *  only where that was set back by more than 5 s. */
  now(): number {
    const state = this.#state;
    if (state === undefined) return Date.now();
    const now = Math.floor(performance.now() + state.offset);
    if (now < this.#last && this.#last - now <= clockRules.tolerance) return this.#last;
    this.#last = now;
    return now;
  }

  /** A time that the server's clock has certainly reached, ms since 1970; 0 while nothing is known of it. Behind now(), by
   *  about what the best of the last answers took to come. */
  reached(): number {
    const state = this.#state;
    if (state === undefined) return 0;
    const at = performance.now();
    return Math.min(this.now(), Math.floor(at + surelyAt(state, at)));
  }

  /** By how much (ms) the server's time has lately been moving without a reason: its clock was set, or the servers of
   *  the cluster do not agree. More than 5,000 in either direction, or 0; while it is not 0 the broker is not ready. */
  get drift(): number {
    return driftAt(this.#state, performance.now());
  }

  /** Server minus local wall clock, ms. For the log and the metrics. */
  get offset(): number {
    return this.#state === undefined ? 0 : this.#state.offset + performance.now() - Date.now();
  }
}
