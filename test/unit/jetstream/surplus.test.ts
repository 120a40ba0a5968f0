import { describe, expect, test } from "vitest";
import { endOfSurplus, type Records } from "../../../broker/src/jetstream/surplus.js";

/** Records at these sequences, in a stream that goes on a little behind them; `asked` counts the counts. */
function recordsAt(seqs: number[]): Records & { asked: number; left(end: number): number } {
  const from = (seq: number) => seqs.filter((each) => each >= seq).length;
  const records = {
    first: seqs[0] ?? 0,
    last: (seqs.at(-1) ?? 0) + 10,
    total: seqs.length,
    asked: 0,
    left: from,
    countFrom: async (seq: number) => {
      records.asked += 1;
      return from(seq);
    },
  };
  return records;
}

const even = (count: number, every = 3, offset = 7) =>
  Array.from({ length: count }, (_, i) => offset + i * every);

describe("few records", () => {
  test.each([
    [100, 5],
    [100, 99],
    [100, 1],
    [20_000, 12_345],
  ])("%i of them are brought down to %i exactly", async (count, most) => {
    const records = recordsAt(even(count));
    expect(records.left(await endOfSurplus(records, most))).toBe(most);
  });
});

describe("many records", () => {
  const most = 40_000;

  test.each([
    ["evenly", even(50_000)],
    ["behind a gap", [...even(100), ...even(49_900, 1, 1_000_000)]],
    ["thin at first", [...even(5_000, 50), ...even(45_000, 1, 300_000)]],
    ["thick at first", [...even(25_000, 1), ...even(25_000, 40, 100_000)]],
  ])("that lie %s lose no more than the surplus, and only a few counts are asked for", async (_, seqs) => {
    const records = recordsAt(seqs);
    const left = records.left(await endOfSurplus(records, most));
    expect(left).toBeGreaterThanOrEqual(most);
    expect(records.asked).toBeLessThanOrEqual(5);
  });

  test("that lie evenly are nearly down to the number after one round", async () => {
    const records = recordsAt(even(50_000));
    expect(records.left(await endOfSurplus(records, most))).toBeLessThan(most + 2_000);
  });

  test("come down to the number in a few rounds, however they lie", async () => {
    let seqs = [...even(25_000, 1), ...even(25_000, 40, 100_000)];
    for (let round = 0; round < 8; round++) {
      const end = await endOfSurplus(recordsAt(seqs), most);
      seqs = seqs.filter((seq) => seq >= end);
    }
    expect(seqs.length).toBeGreaterThanOrEqual(most);
    expect(seqs.length).toBeLessThan(most * 1.03);
  });
});
