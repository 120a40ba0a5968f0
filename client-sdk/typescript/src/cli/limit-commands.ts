// `drover queue limit`, `drover task ...`: how fast and how many at a time.

import type { Command } from "commander";
import { type LimitStatus, parseRate, type RunLimits, sayRate } from "../limits.js";
import type { TaskStatus } from "../tasks.js";
import { examples } from "./examples.js";
import { usage } from "./exit.js";
import type { Io } from "./io.js";
import { toWhole } from "./parse.js";
import { withSession } from "./session.js";
import { count } from "./text.js";
import type { View } from "./view.js";

interface LimitFlags {
  rate?: string;
  burst?: number;
  concurrency?: number;
  perKey?: number;
  none?: true;
}

export function addQueueLimit(queue: Command, io: Io): void {
  withLimitFlags(queue.command("limit").description("Set its limits; what is not named is not limited."))
    .argument("<queue>")
    .addHelpText(
      "after",
      examples("queue limit mail --rate 10/m --concurrency 4 --per-key 1", "queue limit mail --none"),
    )
    .action((name: string, flags: LimitFlags, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        const { limits } = await client.queues.update(name, { limits: limitsOf(flags) });
        view.show({ queue: name, limits: limits ?? null }, () =>
          view.record([["queue", name], ...said(limits)]),
        );
      }),
    );
}

export function addTasks(program: Command, io: Io): void {
  const task = program
    .command("task")
    .description("Look at a task, and limit it.")
    .addHelpText("after", examples("task show mail.send", "task limit mail.send --rate 10/s --burst 5"));

  task
    .command("show")
    .description("What there is of it, and its limits.")
    .argument("<task>")
    .addHelpText("after", examples("task show mail.send", "-o json task show mail.send | jq .ready"))
    .action((name: string, _: object, command: Command) =>
      withSession(io, command, async ({ client, view }) => show(view, await client.tasks.get(name))),
    );

  withLimitFlags(task.command("limit").description("Set its limits; what is not named is not limited."))
    .argument("<task>")
    .addHelpText("after", examples("task limit mail.send --rate 500/h", "task limit mail.send --none"))
    .action((name: string, flags: LimitFlags, command: Command) =>
      withSession(io, command, async ({ client, view }) =>
        show(view, await client.tasks.limit(name, limitsOf(flags))),
      ),
    );
}

/** What is set, and how far it is used up, a row each. */
export function said(limits: LimitStatus | undefined): [string, string][] {
  if (limits === undefined) return [["limits", "none"]];
  const { rate, tokens, nextTokenAt, concurrency, concurrencyPerKey } = limits;
  const rows: [string, string][] = [];
  if (rate !== undefined) {
    const next =
      tokens === 0 && nextTokenAt !== undefined ? `, next start at ${nextTokenAt.toISOString()}` : "";
    rows.push(["rate", `${sayRate(rate)}${next}`]);
  }
  if (concurrency !== undefined) rows.push(["at a time", count(concurrency)]);
  if (concurrencyPerKey !== undefined) rows.push(["at a time per key", count(concurrencyPerKey)]);
  return rows;
}

function withLimitFlags(command: Command): Command {
  return command
    .option("--rate <count/time>", "starts per time: 10/s, 10/m, 500/h, 100/15m")
    .option("--burst <n>", "starts at once after a quiet time (1)", toWhole(1, 1_000_000))
    .option("--concurrency <n>", "running at a time", toWhole(1, 100_000))
    .option("--per-key <n>", "running at a time of each concurrency key (1)", toWhole(1, 10_000))
    .option("--none", "take all limits back");
}

function limitsOf({ rate, burst, concurrency, perKey, none }: LimitFlags): RunLimits {
  const limits: RunLimits = {
    ...(rate !== undefined && { rate: { ...parseRate(rate), ...(burst !== undefined && { burst }) } }),
    ...(concurrency !== undefined && { concurrency }),
    ...(perKey !== undefined && { concurrencyPerKey: perKey }),
  };
  const some = Object.keys(limits).length > 0;
  if (burst !== undefined && rate === undefined) throw usage("--burst goes with --rate");
  if (some === (none === true)) throw usage("say --rate, --concurrency or --per-key, or else --none");
  return limits;
}

function show(view: View, task: TaskStatus): void {
  view.show(task, () =>
    view.record([
      ["task", task.name],
      ["queues", task.queues.join(", ") || "none"],
      ["ready", count(task.ready)],
      ["running", count(task.running)],
      ["workers", count(task.workers)],
      ...said(task.limits),
    ]),
  );
}
