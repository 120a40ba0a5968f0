import { expect, test } from "vitest";
import { lanesToSweep } from "../../../broker/src/jetstream/lane-sweeps.js";

const rules = { acks: 5_000, worthwhile: 1_000, lanesAtOnce: 2, lanesPerRound: 20, share: 0.25 };

test.each<[what: string, lanes: [acked: number, pending: number][], swept: number[]]>([
  [
    "none with less than a purge is worth",
    [
      [999, 0],
      [0, 50_000],
    ],
    [],
  ],
  ["a single one as soon as it is worth it", [[1_000, 0]], [1_000]],
  [
    "only the two fullest of many that are worth it",
    [
      [1_000, 0],
      [1_200, 0],
      [4_999, 0],
      [1_100, 0],
    ],
    [4_999, 1_200],
  ],
  [
    "all that are full, however many",
    [
      [5_000, 0],
      [7_000, 0],
      [6_000, 0],
      [1_000, 0],
    ],
    [7_000, 6_000, 5_000],
  ],
  [
    "none of which so much waits that a purge would take long for little",
    [
      [9_000, 40_000],
      [1_000, 5_001],
    ],
    [],
  ],
  [
    "one of which little enough waits",
    [
      [10_000, 40_000],
      [1_000, 5_000],
    ],
    [10_000, 1_000],
  ],
])("of the lanes is swept %s", (_, lanes, swept) => {
  const found = lanesToSweep(
    lanes.map(([acked, pending]) => ({ acked, pending })),
    rules,
  );
  expect(found.map(({ acked }) => acked)).toEqual(swept);
});
