// What concurrency keys cost: the same jobs without a key, with a thousand keys of which each finds a place, and with ten
// that are full all the time, so that nearly every job is parked first and admitted by the end of another.
import { inBatches, rate, untilFinished, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

const lines = {
  none: { keys: 0, what: "drained without concurrency keys" },
  free: { keys: 1_000, what: "drained with 1,000 concurrency keys, 1,000 of each at a time" },
  full: { keys: 10, what: "drained with 10 concurrency keys, 4 of each at a time" },
};
const perKey = { free: 1_000, full: 4 };
const sizes = {
  full: { none: 20_000, free: 10_000, full: 3_000 },
  quick: { none: 5_000, free: 2_000, full: 600 },
};

export const figures = Object.fromEntries(
  Object.entries(lines).map(([line, { what }]) => [`keys_${line}_per_s`, { unit: "/s", what }]),
);
export const rounds = 1;
export const seconds = { quick: 20, full: 50 };

export function run({ quick, say }) {
  const size = quick ? sizes.quick : sizes.full;
  return withBroker(async (broker, client) => {
    const result = {};
    let done = 0;
    for (const [line, { keys }] of Object.entries(lines)) {
      if (keys > 0) await client.tasks.limit("noop", { concurrencyPerKey: perKey[line] });
      const keyOf = (i) => (keys > 0 ? { concurrencyKey: `${line}-${i % keys}` } : {});
      // Everybody learns their own code first.
      for (const jobs of [size[line] / 5, size[line]]) {
        await inBatches(client, jobs, (i) => ({ task: "noop", ...keyOf(i) }));
        const worker = await BenchWorker.start(broker);
        const before = done;
        result[`keys_${line}_per_s`] = await rate(jobs, async () => {
          done = await untilFinished(broker, before + jobs, (now) =>
            say(`${line}: ${now - before} of ${jobs} have run`),
          );
        });
        await worker.stop();
      }
    }
    return result;
  });
}
