// Where the surplus of a queue's records ends. The server counts what lies from a sequence on by walking along the blocks
// of the nearer side, reading those it no longer has in memory: a search by halves over a million records would read
// half the store a dozen times. Few records are counted exactly; of many the end is guessed from how evenly they lie,
// and counted to be sure that it is not too far. What is left of the surplus goes the next time.

/** Up to this many records are searched through exactly. */
const few = 20_000;
const guesses = 5;
/** A guess that takes this share of the surplus is good enough. */
const enough = 0.8;

export interface Records {
  /** Sequence of the first, and of the last message of the stream. */
  first: number;
  last: number;
  total: number;
  /** Those from a sequence on. */
  countFrom(seq: number): Promise<number>;
}

/** The sequence to purge below, so that at least `most` records are left; `first` when it takes none. */
export function endOfSurplus(records: Records, most: number): Promise<number> {
  return records.total <= few ? exactly(records, most) : guessed(records, records.total - most);
}

async function exactly({ first, last, countFrom }: Records, most: number): Promise<number> {
  let low = first;
  let high = last + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if ((await countFrom(middle)) > most) low = middle;
    else high = middle;
  }
  return high;
}

async function guessed({ first, last, total, countFrom }: Records, surplus: number): Promise<number> {
  let best = first;
  let share = surplus / total;
  for (let guess = 0; guess < guesses; guess++) {
    const seq = Math.min(last, first + Math.floor((last + 1 - first) * share));
    const below = total - (await countFrom(seq));
    if (below <= surplus) best = Math.max(best, seq);
    if (below <= surplus && below >= enough * surplus) break;
    // A little short of what the proportion says: a guess that is too far is worth nothing.
    share *= below === 0 ? 2 : (0.95 * surplus) / below;
    if (share >= 1) share = 1;
  }
  return best;
}
