// Tasks that misbehave, each both in a process and in a thread of its own. `register` gives them to a worker.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { threadId } from "node:worker_threads";
import { defineTask, Permanent, Retry } from "@drover/worker";

class CardExpired extends Error {}

const handlers = {
  where: (_, context) => ({ pid: process.pid, threadId, attempt: context.attempt, labels: context.labels }),
  busy: ({ began, ms = Number.POSITIVE_INFINITY } = {}) => {
    if (began !== undefined) writeFileSync(began, "began\n");
    const until = Date.now() + ms;
    while (Date.now() < until);
    return "computed";
  },
  exits: ({ code }) => process.exit(code),
  // Not of a thread: that would be the worker's own process.
  dies: ({ signal }) => process.kill(process.pid, signal),
  uncaught: () => {
    setTimeout(() => {
      throw new RangeError("thrown where nobody listens");
    }, 1);
    return sleep(60_000);
  },
  text: () => Promise.reject("just a text"),
  nothing: () => {
    throw undefined;
  },
  opaque: () => {
    throw Object.create(null);
  },
  cycle: () => {
    const result = {};
    result.self = result;
    return result;
  },
  returnsNothing: () => {},
  permanent: () => {
    throw new Permanent("no user 42");
  },
  ruled: () => {
    throw new CardExpired("card expired");
  },
  again: (_, { attempt }) => {
    if (attempt === 1) throw new Retry(1, "come back");
    return attempt;
  },
  told: async ({ diary }, context) => {
    context.progress(0.5, { step: "waiting" });
    context.logger.info({ seen: true }, "in there");
    await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    writeFileSync(diary, context.signal.reason.name);
    throw context.signal.reason;
  },
  inputs: async (_, context) => (await context.inputs()).map(({ result }) => result),
  // Has a process of its own that would live for ten minutes.
  forks: ({ mark }) => {
    const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 600_000)"]);
    writeFileSync(mark, `${child.pid}\n`);
    for (;;);
  },
};

export const tasks = ["process", "thread"].flatMap((isolation) =>
  Object.entries(handlers).map(([name, handler]) =>
    defineTask({
      name: `${isolation}.${name}`,
      handler,
      isolation,
      module: import.meta.url,
      permanentErrors: [CardExpired],
    }),
  ),
);

export const register = (worker) => worker.register(...tasks);
