// `drover top`: queues and workers, drawn anew every few seconds. Not on a terminal, or with --once, it is one picture.

import { setTimeout as pause } from "node:timers/promises";
import { type Command, Option } from "commander";
import { UnavailableError } from "../errors.js";
import type { WorkerStatus } from "../inspect.js";
import type { QueueStatus } from "../queues.js";
import { examples } from "./examples.js";
import { workerColumns } from "./inspect-commands.js";
import type { Io } from "./io.js";
import { toDuration } from "./parse.js";
import { queueColumns } from "./queue-commands.js";
import { type Session, withSession } from "./session.js";
import { count, cut, oneLine, rate } from "./text.js";
import type { View } from "./view.js";

interface Picture {
  at: Date;
  queues: readonly QueueStatus[];
  workers: readonly WorkerStatus[];
  silentBrokers: number;
}

/** Another screen than the shell's, without a cursor; and back. */
const enter = "\u001b[?1049h\u001b[?25l";
const leave = "\u001b[?25h\u001b[?1049l";

export function addTop(program: Command, io: Io): void {
  program
    .command("top")
    .description("Queues and workers, live. Ctrl-C ends it.")
    .addOption(
      new Option("--every <duration>", "how often it is drawn").argParser(toDuration).default(2_000, "2s"),
    )
    .option("--once", "one picture, then end")
    .addHelpText("after", examples("top", "top --every 500ms", "-o json top --once"))
    .action((options: { every: number; once?: true }, command: Command) =>
      withSession(io, command, async (session) => {
        const live = session.io.out.isTTY === true && options.once !== true && !session.view.machine;
        if (live) await follow(session, options.every);
        else
          session.view.show(await look(session), (picture) =>
            session.view.line(drawn(session.view, picture).join("\n")),
          );
      }),
    );
}

async function look({ client }: Session): Promise<Picture> {
  const [queues, workers] = await Promise.all([client.queues.list(), client.inspect.workers()]);
  return { at: new Date(), queues, workers: workers.items, silentBrokers: workers.silentBrokers };
}

async function follow(session: Session, every: number): Promise<void> {
  const { io, view } = session;
  io.out.write(enter);
  try {
    while (!io.interrupted.aborted) {
      const lines = await look(session).then(
        (picture) => drawn(view, picture),
        (error: unknown) => {
          if (!(error instanceof UnavailableError)) throw error;
          return [view.tint(cut(`no broker answers: ${oneLine(error.message)}`, view.width), "red")];
        },
      );
      // A terminal that does not know its size says 0.
      const fitting = lines.slice(0, (io.out.rows || 24) - 1);
      io.out.write(`\u001b[H${fitting.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`);
      await pause(every, undefined, { signal: io.interrupted }).catch(() => undefined);
    }
  } finally {
    io.out.write(leave);
  }
}

function drawn(view: View, { at, queues, workers, silentBrokers }: Picture): string[] {
  const sum = (of: (queue: QueueStatus) => number) => queues.reduce((total, queue) => total + of(queue), 0);
  const head = [
    at.toTimeString().slice(0, 8),
    `${count(sum(({ ready }) => ready))} ready`,
    `${count(sum(({ running }) => running))} running`,
    `${count(sum(({ scheduled }) => scheduled))} scheduled`,
    `${rate(sum(({ submittedPerSecond }) => submittedPerSecond))}/s in`,
    `${rate(sum(({ finishedPerSecond }) => finishedPerSecond))}/s out`,
    `${workers.length} workers`,
    ...(silentBrokers > 0 ? [`${silentBrokers} brokers silent`] : []),
  ];
  return [
    view.tint(cut(head.join("   "), view.width), "bold"),
    "",
    ...(queues.length === 0 ? ["no queues yet"] : view.table(queues, queueColumns)),
    "",
    ...(workers.length === 0 ? ["no worker is attached"] : view.table(workers, workerColumns)),
  ];
}
