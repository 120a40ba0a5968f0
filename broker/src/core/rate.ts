// How rates are kept exactly although several brokers start jobs and none of them at the very moment it planned. Starts
// are reserved ahead, each for a time of its own, and one that is not used within the tolerance is lost. Two starts that
// are a period apart by plan may thus come closer by the tolerance: so the plan spreads them further, by 4 %. The
// tolerance is three quarters of that. The rest is for what nobody can look at: the moment between the decision to start a
// job and its start, in which a busy machine may let the broker wait, and what brokers' clocks differ by.

/** A bucket of `burst` tokens that fills by `count` in each `period`, one at a time. */
export interface Rate {
  /** 1 to 1,000,000. */
  count: number;
  /** ms. */
  period: number;
  /** 1 to count. */
  burst: number;
}

/** How far a rate is used up. */
export interface RateBook {
  /** When the bucket will be full again, ms since 1970, with fractions. */
  fullAt: number;
  /** Between two starts, ms, by the rate that it was counted under; 0 = never used. */
  interval: number;
}

export interface Reservation {
  /** When each start is allowed, ms, in order. */
  starts: readonly number[];
  /** What the books say afterwards, in order. */
  books: readonly RateBook[];
  /** When the next one could be. */
  next: number;
}

export const unused: RateBook = { fullAt: 0, interval: 0 };

const spread = { share: 0.04, least: 10, used: 3 / 4 } as const;

/** What the planned starts of a period are spread further by, ms. */
export function spreadOf({ period }: Rate): number {
  return Math.max(period * spread.share, spread.least);
}

/** How late a reserved start may be used, ms. */
export function toleranceOf(rate: Rate): number {
  return spreadOf(rate) * spread.used;
}

/** Between two planned starts, ms. */
export function intervalOf(rate: Rate): number {
  return (rate.period + spreadOf(rate)) / rate.count;
}

/** A book as it counts under the rate of today: what was used up before a change stays used up, token for token. */
export function carried(book: RateBook, rate: Rate, now: number): RateBook {
  const interval = intervalOf(rate);
  // What was stored is exact to a millionth.
  if (book.interval === 0 || Math.abs(book.interval - interval) < 1e-3 * interval) {
    return { fullAt: book.fullAt, interval };
  }
  const used = Math.max(0, book.fullAt - now) / book.interval;
  return { fullAt: now + Math.min(used, rate.burst) * interval, interval };
}

/** When the next start is allowed, never in the past. */
export function nextStart(rate: Rate, book: RateBook, now: number): number {
  const { fullAt, interval } = carried(book, rate, now);
  return Math.max(now, fullAt - (rate.burst - 1) * interval);
}

/** When a start is allowed that `before` others come before, never in the past. */
export function startAfter(rate: Rate, book: RateBook, now: number, before: number): number {
  const { fullAt, interval } = carried(book, rate, now);
  return Math.max(now, Math.max(fullAt, now) + (before - (rate.burst - 1)) * interval);
}

/** Starts that would be allowed right now. */
export function tokensOf(rate: Rate, book: RateBook, now: number): number {
  const { fullAt, interval } = carried(book, rate, now);
  const used = Math.max(0, fullAt - now) / interval;
  return Math.max(0, Math.floor(rate.burst - used + 1e-9));
}

/** Up to `most` starts between now and `until` that all of these rates allow. */
export function reserve(
  limits: readonly { rate: Rate; book: RateBook }[],
  now: number,
  until: number,
  most: number,
): Reservation {
  const books = limits.map(({ rate, book }) => carried(book, rate, now));
  const starts: number[] = [];
  for (;;) {
    let next = now;
    for (const [i, { rate }] of limits.entries()) {
      const { fullAt, interval } = books[i] ?? unused;
      next = Math.max(next, fullAt - (rate.burst - 1) * interval);
    }
    if (starts.length >= most || next > until) return { starts, books, next };
    starts.push(next);
    for (const book of books) book.fullAt = Math.max(book.fullAt, next) + book.interval;
  }
}
