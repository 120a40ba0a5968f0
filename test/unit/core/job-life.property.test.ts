// The life of jobs under everything that may befall them: brokers that act on what they knew a while ago, answers that
// get lost, schedules that fire too late, tickets that come twice, SIGKILL of brokers and of the nats-server, sweeps and
// retention in between. The rules and use cases are those that ship; the stream is a model (test/support/model-store.ts).
//
// DROVER_PROPERTY_SEED repeats a run, DROVER_PROPERTY_RUNS makes it longer.

import { array, asyncProperty, check, constantFrom, nat, oneof, type RunDetails, tuple } from "fast-check";
import { describe, expect, test } from "vitest";
import { type Step, type StepName, soundWorld, World, type WorldRules } from "../../support/model-world.js";

const runs = Number(process.env.DROVER_PROPERTY_RUNS ?? 10_000);
const seed = Number(process.env.DROVER_PROPERTY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const patience = 600_000;

const often: StepName[] = ["deliver", "deliver", "report", "report", "ring", "renew", "pass", "fire"];
const sometimes: StepName[] = ["submit", "call", "extend", "end", "cancel", "redrive", "wait", "attach", "sweep"];
const seldom: StepName[] = ["flush", "cut", "killBroker", "killStore", "age"];

const story = array<Step>(
  oneof(
    { weight: 12, arbitrary: tuple(constantFrom<StepName>("go"), nat(3), nat(15)) },
    { weight: 9, arbitrary: tuple(constantFrom(...often), nat(15), nat(31)) },
    { weight: 6, arbitrary: tuple(constantFrom(...sometimes), nat(15), nat(31)) },
    { weight: 2, arbitrary: tuple(constantFrom(...seldom), nat(15), nat(31)) },
  ),
  { maxLength: 160, size: "max" },
);

/** Lives through a story and the recovery from it. Throws what should not have happened. */
async function live(steps: readonly Step[], rules: WorldRules, seen = new Set<string>()): Promise<void> {
  const world = new World(rules);
  const { broken } = world.witness;
  try {
    for (const step of [["attach", 0, 0], ["attach", 1, 1], ...steps] as const) {
      await world.step(step);
      if (broken.length > 0) break;
    }
    if (broken.length === 0) await world.recover();
    if (broken.length > 0) throw new Error(broken.join("; "));
  } finally {
    world.close();
    for (const what of world.witness.seen) seen.add(what);
  }
}

function told(details: RunDetails<[Step[]]>): string {
  const { numRuns, error, counterexample } = details as typeof details & { error?: string };
  const steps = counterexample?.[0].map((step) => step.join(" ")).join(", ");
  return `DROVER_PROPERTY_SEED=${seed}, after ${numRuns} runs: ${error ?? String(details.errorInstance)}\nsteps: ${steps}`;
}

test(
  `no job is lost, run by two holders or ended twice, in ${runs} lives of seed ${seed}`,
  { timeout: patience },
  async () => {
    console.info(`job lives: DROVER_PROPERTY_SEED=${seed}`);
    const seen = new Set<string>();
    const lives = asyncProperty(story, (steps) => live(steps, soundWorld, seen));
    const details = await check(lives, { numRuns: runs, seed, noBiasing: true });
    if (details.failed) throw new Error(told(details));
    console.log(details.numRuns, [...seen].sort().join("\n"));
  },
);

describe("a world without one of its rules is found out", () => {
  test.each<[string, Partial<WorldRules>]>([
    ["the compare-and-set", { compareAndSet: false }],
    ["the state by the highest revision, not the highest sequence", { stateBy: "sequence" }],
    ["alarms, not tickets, from schedules", { schedulesFireInto: "ready" }],
    ["a subject of its own for each schedule", { scheduleSubject: "shared" }],
    ["the fence of who may report", { fenced: false }],
    ["sweeps up to the ack floor only", { sweep: "delivered" }],
    ["records kept while anything older lies about", { retention: "anything" }],
  ])("%s", { timeout: patience }, async (_, without) => {
    const lives = asyncProperty(story, (steps) => live(steps, { ...soundWorld, ...without }));
    const details = await check(lives, { numRuns: runs, seed, noBiasing: true, endOnFailure: true });
    expect(details.failed).toBe(true);
    console.log(told(details as never).slice(0, 300));
  });
});
