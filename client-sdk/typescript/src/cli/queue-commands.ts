// `drover queue ...`.

import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { Purged, QueueStatus } from "../queues.js";
import { examples } from "./examples.js";
import { Exit, exits, usage } from "./exit.js";
import type { Io } from "./io.js";
import { addQueueLimit, said as saidLimits } from "./limit-commands.js";
import { type Session, withSession } from "./session.js";
import { ago, count, rate } from "./text.js";
import type { Column } from "./view.js";

export const queueColumns: readonly Column<QueueStatus>[] = [
  { title: "queue", of: ({ name }) => name },
  {
    title: "state",
    of: ({ paused }) => (paused ? "paused" : "open"),
    tint: ({ paused }) => (paused ? "yellow" : undefined),
  },
  { title: "ready", of: ({ ready }) => count(ready), right: true },
  { title: "oldest", of: ageOf, right: true },
  { title: "running", of: ({ running }) => count(running), right: true },
  { title: "in/s", of: ({ submittedPerSecond }) => rate(submittedPerSecond), right: true },
  { title: "out/s", of: ({ finishedPerSecond }) => rate(finishedPerSecond), right: true },
  { title: "scheduled", of: ({ scheduled }) => count(scheduled), right: true },
  { title: "blocked", of: ({ blocked }) => count(blocked), right: true },
];

/** Of what has been ready for the longest. */
function ageOf({ oldestReadyAge }: QueueStatus): string {
  return oldestReadyAge === undefined ? "" : ago(oldestReadyAge);
}

interface PurgeFlags {
  task?: string;
  scheduled?: true;
  dryRun?: true;
  yes?: true;
}

export function addQueues(program: Command, io: Io): void {
  const queue = program
    .command("queue")
    .description("Look at queues, pause, resume, limit, purge them.")
    .addHelpText(
      "after",
      examples("queue ls", "queue pause mail", "queue purge mail --task mail.send --dry-run"),
    );

  queue
    .command("ls")
    .description("All queues and what waits in them.")
    .addHelpText("after", examples("queue ls", "-o json queue ls | jq '.[] | select(.ready > 1000)'"))
    .action((_: object, command: Command) =>
      withSession(io, command, async ({ client, view }) =>
        view.rows(await client.queues.list(), queueColumns, "no queues: nothing was ever submitted"),
      ),
    );

  queue
    .command("show")
    .description("One queue: counts of every state, and its lanes.")
    .argument("<queue>")
    .addHelpText("after", examples("queue show mail", "-o json queue show mail | jq .failed"))
    .action((name: string, _: object, command: Command) =>
      withSession(io, command, async ({ client, view }) =>
        view.show(await client.queues.get(name), showIn(view)),
      ),
    );

  for (const verb of ["pause", "resume"] as const) {
    queue
      .command(verb)
      .description(
        verb === "pause" ? "Hand nothing of it out any more; what runs runs on." : "Hand its jobs out again.",
      )
      .argument("<queue>")
      .addHelpText("after", examples(`queue ${verb} mail`))
      .action((name: string, _: object, command: Command) =>
        withSession(io, command, async ({ client, view }) => {
          await client.queues[verb](name);
          view.show({ queue: name, paused: verb === "pause" }, () => view.line(`${name} is ${verb}d`));
        }),
      );
  }

  addQueueLimit(queue, io);

  queue
    .command("purge")
    .description("Remove the jobs that wait in it, without a record.")
    .argument("<queue>")
    .option("-t, --task <name>", "only this task's")
    .option("--scheduled", "also jobs that wait for a time")
    .option("--dry-run", "only count")
    .option("-y, --yes", "do not ask")
    .addHelpText("after", examples("queue purge mail --dry-run", "queue purge mail --task mail.send --yes"))
    .action((name: string, flags: PurgeFlags, command: Command) =>
      withSession(io, command, (session) => purge(session, name, flags)),
    );
}

function showIn(view: Session["view"]): (queue: QueueStatus) => void {
  return (queue) => {
    view.record([
      ["queue", queue.name],
      ["state", queue.paused ? "paused" : "open"],
      ["ready", count(queue.ready)],
      ["oldest ready", ageOf(queue)],
      ["running", count(queue.running)],
      ["submitted", `${rate(queue.submittedPerSecond)} a second`],
      ["ended", `${rate(queue.finishedPerSecond)} a second`],
      ["scheduled", count(queue.scheduled)],
      ["blocked", count(queue.blocked)],
      ["succeeded", count(queue.succeeded)],
      ["failed", count(queue.failed)],
      ["cancelled", count(queue.cancelled)],
      ...(queue.limits === undefined ? [] : saidLimits(queue.limits)),
    ]);
    if (queue.lanes.length === 0) return;
    view.line("");
    const lanes = view.table(queue.lanes, [
      { title: "task", of: ({ task }) => task },
      { title: "prio", of: ({ priority }) => priority, right: true },
      { title: "ready", of: ({ ready }) => count(ready), right: true },
    ]);
    for (const line of lanes) view.line(line);
  };
}

async function purge({ client, view, io }: Session, name: string, flags: PurgeFlags): Promise<void> {
  const options = {
    ...(flags.task !== undefined && { task: flags.task }),
    includeScheduled: flags.scheduled === true,
  };
  const said = ({ ready, scheduled }: Purged) => {
    const parts = [
      `${count(ready)} ready`,
      ...(flags.scheduled === true ? [`${count(scheduled)} scheduled`] : []),
    ];
    return `${parts.join(" and ")} jobs of ${name}${flags.task === undefined ? "" : `, task ${flags.task}`}`;
  };
  if (flags.dryRun === true || flags.yes !== true) {
    const counted = await client.queues.purge(name, { ...options, dryRun: true });
    if (flags.dryRun === true) {
      view.show({ ...counted, dryRun: true }, () => view.line(`would remove ${said(counted)}`));
      return;
    }
    if (io.in.isTTY !== true)
      throw usage(`this removes ${said(counted)}: say --yes, or --dry-run to count only`);
    await confirm(io, `Remove ${said(counted)}, without a record?`);
  }
  const purged = await client.queues.purge(name, options);
  view.show(purged, () => view.line(`removed ${said(purged)}`));
}

async function confirm(io: Io, question: string): Promise<void> {
  const asked = createInterface({ input: io.in, output: process.stderr });
  try {
    // On a terminal Ctrl-C is a key like any other, and ends the question by an error.
    const answer = await asked.question(`${question} [y/N] `, { signal: io.interrupted }).catch(() => {
      throw new Exit(exits.interrupted, "interrupted; nothing was removed");
    });
    if (!/^y(es)?$/i.test(answer.trim())) throw new Exit(exits.failed, "nothing was removed");
  } finally {
    asked.close();
  }
}
