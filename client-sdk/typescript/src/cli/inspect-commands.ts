// `drover inspect ...`: who works on what.

import type { Command } from "commander";
import type { ActiveJob, Inspected, RegisteredTask, WorkerStatus } from "../inspect.js";
import { examples } from "./examples.js";
import type { Io } from "./io.js";
import { since, when } from "./job-view.js";
import { withSession } from "./session.js";
import { cut } from "./text.js";
import type { Column, View } from "./view.js";

export const workerColumns: readonly Column<WorkerStatus>[] = [
  { title: "worker", of: ({ name }) => name },
  { title: "sdk", of: ({ sdk }) => sdk },
  { title: "running", of: ({ running, credit }) => `${running}/${credit}`, right: true },
  { title: "queues", of: ({ queues }) => cut(queues.join(","), 30) },
  { title: "tasks", of: ({ tasks }) => cut(tasks.join(","), 50) },
  { title: "since", of: ({ attachedAt }) => since(attachedAt), right: true },
  { title: "broker", of: ({ broker, draining }) => (draining ? `${broker} (draining)` : broker) },
];

const activeColumns: readonly Column<ActiveJob>[] = [
  { title: "job", of: ({ jobId }) => jobId },
  { title: "queue", of: ({ queue }) => queue },
  { title: "attempt", of: ({ attempt }) => attempt, right: true },
  { title: "for", of: ({ startedAt }) => since(startedAt), right: true },
  { title: "worker", of: ({ worker }) => worker },
  { title: "broker", of: ({ broker }) => broker },
];

const registeredColumns: readonly Column<RegisteredTask>[] = [
  { title: "task", of: ({ task }) => task },
  { title: "queues", of: ({ queues }) => queues.join(",") },
  { title: "workers", of: ({ workers }) => cut(workers.join(","), 60) },
];

export function addInspect(program: Command, io: Io): void {
  const inspect = program
    .command("inspect")
    .description("Who works on what, asked of all brokers at once.")
    .addHelpText("after", examples("inspect active", "inspect registered", "inspect workers -o json"));

  inspect
    .command("active")
    .description("What runs now, where, since when.")
    .addHelpText("after", examples("inspect active", "-o json inspect active | jq -r '.[].jobId'"))
    .action((_: object, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        const active = await client.inspect.active();
        tell(view, active, activeColumns, "nothing runs");
        if (active.truncated) view.note("there is more than a broker tells at a time");
      }),
    );

  inspect
    .command("registered")
    .description("Which tasks are served, and by whom.")
    .addHelpText("after", examples("inspect registered"))
    .action((_: object, command: Command) =>
      withSession(io, command, async ({ client, view }) =>
        tell(view, await client.inspect.registered(), registeredColumns, "no worker is attached"),
      ),
    );

  inspect
    .command("workers")
    .description("The workers that are attached.")
    .addHelpText("after", examples("inspect workers", "-o json inspect workers"))
    .action((_: object, command: Command) =>
      withSession(io, command, async ({ client, view }) =>
        tell(view, await client.inspect.workers(), workerColumns, "no worker is attached"),
      ),
    );

  inspect
    .command("server")
    .description("The broker that answers, and its limits.")
    .addHelpText("after", examples("inspect server", "-a broker-2:50051 inspect server"))
    .action((_: object, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        view.show(await client.inspect.serverInfo(), (server) =>
          view.record([
            ["version", server.version],
            ["broker", server.broker],
            ["brokers", server.brokers.join(" ")],
            ["namespace", server.namespace],
            ["shards", server.shards],
            ["replicas", server.replicas],
            ["nats-server", server.natsServerVersion],
            ["started", when(server.startedAt)],
          ]),
        );
      }),
    );
}

function tell<T>(
  view: View,
  { items, silentBrokers }: Inspected<T>,
  columns: readonly Column<T>[],
  none: string,
): void {
  view.rows(items, columns, none);
  if (silentBrokers > 0) view.note(`${silentBrokers} brokers did not answer: this is not all`);
}
