// Flows of members that do nothing, from the submit to the end at the client: groups, and chords over them. What a member
// costs may not grow with the flow it is in.
import { chord, group, step } from "@drover/client";
import { cpu, cpuPerJob, percentile, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

const sizes = { quick: [100, 1_000], full: [100, 1_000, 10_000] };
const repeats = { 100: 5, 1000: 3, 10000: 1 };

export const figures = {
  flow_group_100_ms: { unit: "ms", what: "group of 100 members, submit to end" },
  flow_group_1000_ms: { unit: "ms", what: "group of 1,000 members" },
  flow_group_10000_ms: { unit: "ms", what: "group of 10,000 members" },
  flow_chord_100_ms: { unit: "ms", what: "chord of 100 members, its callback one of them, submit to end" },
  flow_chord_1000_ms: { unit: "ms", below: 2_000, what: "chord of 1,000 members" },
  flow_chord_10000_ms: { unit: "ms", what: "chord of 10,000 members" },
  flow_member_100_us: { unit: "us", what: "CPU of broker and nats-server per member: chord of 100" },
  flow_member_1000_us: { unit: "us", what: "the same of 1,000" },
  flow_member_10000_us: { unit: "us", what: "the same of 10,000" },
  flow_growth: {
    unit: "x",
    below: 1.5,
    what: "a member of 10,000 against one of 1,000 (quick: 1,000 and 100)",
  },
};
export const seconds = { quick: 6, full: 40 };

export function run({ quick, say }) {
  return withBroker(async (broker, client) => {
    const worker = await BenchWorker.start(broker);
    const took = async (node) => {
      const started = performance.now();
      const flow = await client.flows.submit(node);
      const { state } = await flow.wait({ timeout: 120_000 });
      if (state !== "SUCCEEDED") throw new Error(`the flow ended ${state}`);
      return performance.now() - started;
    };
    const steps = (n) => Array.from({ length: n }, () => step("noop", null));
    for (let i = 0; i < 3; i++) await took(chord(steps(300), step("noop", null)));
    const result = {};
    const perMember = [];
    for (const size of quick ? sizes.quick : sizes.full) {
      say(`flows of ${size}`);
      const times = { group: [], chord: [] };
      for (let i = 0; i < repeats[size]; i++) times.group.push(await took(group(steps(size))));
      const before = cpu(broker, worker);
      for (let i = 0; i < repeats[size]; i++)
        times.chord.push(await took(chord(steps(size - 1), step("noop", null))));
      const used = cpuPerJob(before, cpu(broker, worker), repeats[size] * size);
      perMember.push(used.broker + used.nats);
      result[`flow_group_${size}_ms`] = percentile(times.group, 0.5);
      result[`flow_chord_${size}_ms`] = percentile(times.chord, 0.5);
      result[`flow_member_${size}_us`] = perMember.at(-1);
    }
    result.flow_growth = perMember.at(-1) / perMember.at(-2);
    await worker.stop();
    return result;
  });
}
