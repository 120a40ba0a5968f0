// The life of jobs under everything that may befall them: brokers that act on what they knew a while ago, answers that
// get lost, schedules that fire too late, tickets that come twice, SIGKILL of brokers and of the nats-server, sweeps and
// retention in between. The rules and use cases are those that ship; the stream is a model (test/support/model).
//
// DROVER_PROPERTY_SEED repeats a run, DROVER_PROPERTY_RUNS makes it longer.

import { array, asyncProperty, check, constant, nat, oneof, type RunDetails, tuple } from "fast-check";
import { describe, expect, test } from "vitest";
import { type Step, type StepName, take } from "../../support/model/steps.js";
import { soundWorld, World, type WorldRules } from "../../support/model/world.js";

const runs = Number(process.env.DROVER_PROPERTY_RUNS ?? 10_000);
const seed = Number(process.env.DROVER_PROPERTY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const patience = 600_000;

/** How often each step is taken. Where one finds nothing to do, something that waits is let happen instead. */
const weights: Record<StepName, number> = {
  go: 20,
  deliver: 12,
  report: 8,
  submit: 8,
  ring: 7,
  wait: 6,
  renew: 5,
  fire: 4,
  promote: 5,
  call: 4,
  extend: 3,
  end: 3,
  pass: 2,
  attach: 2,
  sweep: 2,
  redrive: 4,
  cancel: 1,
  move: 1,
  flush: 1,
  cut: 1,
  killBroker: 1,
  killStore: 1,
  age: 2,
};

const step = oneof(
  ...(Object.entries(weights) as [StepName, number][]).map(([name, weight]) => {
    return { weight, arbitrary: tuple(constant(name), nat(15), nat(31)) };
  }),
);
const story = array<Step>(step, { maxLength: 200, size: "max" });

/** What has to have happened in ten thousand lives, to jobs in any standing. */
const ends = ["later", "ready", "succeeded", "failed", "cancelled"];
const met = [
  ...["ready", "later"].map((phase) => `nothing -> ${phase}`),
  ...["held-a", "ready", "later", "succeeded", "failed", "cancelled"].map((phase) => `ready -> ${phase}`),
  ...["held-b", ...ends].flatMap((phase) => [`held-a -> ${phase}`, `due held-a -> ${phase}`]),
  ...["held-a", ...ends].flatMap((phase) => [`held-b -> ${phase}`, `due held-b -> ${phase}`]),
  ...[
    "later -> cancelled",
    "later -> ready",
    "later -> later",
    "due later -> ready",
    "due later -> cancelled",
    "failed -> ready",
  ],
];

/** Lives through a story and the recovery from it. Throws what should not have happened. */
async function live(steps: readonly Step[], rules: WorldRules, seen = new Set<string>()): Promise<void> {
  const world = new World(rules);
  const { broken } = world.witness;
  try {
    for (const step of [["attach", 0, 0], ["attach", 1, 1], ...steps] as const) {
      await take(world, step);
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

test(`no job is lost, run by two holders or ended twice, in ${runs} lives of seed ${seed}`, {
  timeout: patience,
}, async () => {
  console.info(`job lives: DROVER_PROPERTY_SEED=${seed}`);
  const seen = new Set<string>();
  const lives = asyncProperty(story, (steps) => live(steps, soundWorld, seen));
  const details = await check(lives, { numRuns: runs, seed, unbiased: true });
  if (details.failed) throw new Error(told(details));
  // A world in which little happens would keep every promise.
  if (runs >= 10_000) expect([...seen].sort()).toEqual(expect.arrayContaining(met));
});

describe("a world without one of its rules is found out", () => {
  test.each<[string, Partial<WorldRules>]>([
    ["the compare-and-set", { compareAndSet: false }],
    ["the state by the highest revision, not the highest sequence", { stateBy: "sequence" }],
    ["alarms, not tickets, from schedules", { schedulesFireInto: "ready" }],
    ["a subject of its own for each schedule", { scheduleSubject: "shared" }],
    ["the fence of who may report", { fenced: false }],
    ["the trust line below which tickets are read", { wary: false }],
    ["an alarm under every delay that a broker means to end", { net: false }],
    ["brokers that go by the store's clock", { ahead: 10_000 }],
    ["sweeps up to the ack floor only", { sweep: "delivered" }],
    ["records kept while anything older lies about", { retention: "anything" }],
  ])("%s", { timeout: patience }, async (_, without) => {
    const lives = asyncProperty(story, (steps) => live(steps, { ...soundWorld, ...without }));
    const details = await check(lives, { numRuns: 30_000, seed: 1, unbiased: true, endOnFailure: true });
    expect(details.failed).toBe(true);
  });
});
