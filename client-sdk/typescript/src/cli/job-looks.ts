// Looking at jobs: `drover status`, `explain`, `watch` and `list`.

import { type Command, Option } from "commander";
import type { ListFilter } from "../client.js";
import { JobNotFoundError } from "../errors.js";
import type { JobState, JobStatus } from "../job.js";
import { examples } from "./examples.js";
import { Exit, exits } from "./exit.js";
import type { Io } from "./io.js";
import { aboutOf, explainTo, jobColumns, recordOf, tintOf } from "./job-view.js";
import { toWhole, wordOption } from "./parse.js";
import { type Session, withSession } from "./session.js";
import { count, json, oneLine } from "./text.js";
import { Progress } from "./view.js";

export const states = [
  "SCHEDULED",
  "BLOCKED",
  "READY",
  "RUNNING",
  "RETRYING",
  "SUCCEEDED",
  "FAILED",
  "CANCELLED",
] as const satisfies readonly JobState[];

/** Jobs of a list that are asked for at a time. */
const page = 1_000;

export interface Filter {
  state?: JobState;
  task?: string;
  queue?: string;
}

export function addFilter(command: Command): Command {
  return command
    .addOption(wordOption("-s, --state <state>", "only those", states))
    .option("-t, --task <name>", "only this task's")
    .option("-q, --queue <name>", "only this queue's");
}

export function filterOf({ state, task, queue }: Filter): ListFilter {
  return {
    ...(state !== undefined && { state }),
    ...(task !== undefined && { task }),
    ...(queue !== undefined && { queue }),
  };
}

export function addJobLooks(program: Command, io: Io): void {
  program
    .command("status")
    .description("What a job is: state, attempts, progress, result, failure.")
    .argument("<id...>", "job ids, <task>~<key>")
    .option("--payload", "also its payload")
    .addHelpText(
      "after",
      examples("status mail.send~invoice-7", "-o json status mail.send~invoice-7 --payload"),
    )
    .action((ids: string[], options: { payload?: true }, command: Command) =>
      withSession(io, command, (session) => status(session, ids, options.payload === true)),
    );

  program
    .command("explain")
    .description("Why a job is not running, and when it can at the earliest.")
    .argument("<id>", "job id")
    .addHelpText("after", examples("explain mail.send~invoice-7", "-o json explain mail.send~invoice-7"))
    .action((id: string, _: object, command: Command) =>
      withSession(io, command, async ({ client, view }) =>
        view.show({ id, ...(await client.job(id).explain()) }, (explained) => explainTo(view, explained)),
      ),
    );

  program
    .command("watch")
    .description("A job now and after each change, until it has ended.")
    .argument("<id>", "job id")
    .addHelpText("after", examples("watch reports.build~2026-11"))
    .action((id: string, _: object, command: Command) =>
      withSession(io, command, (session) => watch(session, id)),
    );

  addFilter(program.command("list"))
    .description("Jobs by state, task and queue, in the order of their last change. As JSON: one job a line.")
    .addOption(new Option("--limit <n>", "at most so many").argParser(toWhole(1, 1_000_000_000)).default(50))
    .option("--payload", "also their payloads (JSON only)")
    .addHelpText(
      "after",
      examples(
        "list --state failed --task billing.charge",
        "-o json list --state failed --limit 100000 | jq -r .id",
      ),
    )
    .action((options: Filter & { limit: number; payload?: true }, command: Command) =>
      withSession(io, command, (session) => list(session, options)),
    );
}

async function status({ client, view }: Session, ids: string[], includePayload: boolean): Promise<void> {
  const jobs: JobStatus[] = [];
  const missing: string[] = [];
  await Promise.all(
    ids.map(async (id, i) => {
      try {
        jobs[i] = await client.job(id).status({ includePayload });
      } catch (error) {
        if (!(error instanceof JobNotFoundError)) throw error;
        missing.push(error.message);
      }
    }),
  );
  const found = jobs.filter((job) => job !== undefined);
  if (view.machine) view.line(json(ids.length === 1 ? (found[0] ?? null) : found, 2));
  else
    for (const [i, job] of found.entries()) {
      if (i > 0) view.line("");
      recordOf(view, job);
    }
  if (missing.length > 0) throw new Exit(exits.failed, missing.join("; "));
}

async function watch({ client, view, io, timeout }: Session, id: string): Promise<void> {
  let last: JobStatus | undefined;
  for await (const job of client.job(id).watch({ timeout, signal: io.interrupted })) {
    last = job;
    if (view.machine) view.line(json(job));
    else {
      const time = new Date().toTimeString().slice(0, 8);
      const state = view.tint(job.state.toLowerCase().padEnd(9), tintOf(job));
      view.line(`${time}  ${state}  attempt ${job.attempt}  ${oneLine(aboutOf(job))}`.trimEnd());
    }
  }
  if (last?.state !== "SUCCEEDED")
    throw new Exit(exits.failed, `${id} ${last?.state.toLowerCase() ?? "is gone"}`);
}

async function list(
  { client, view, io }: Session,
  options: Filter & { limit: number; payload?: true },
): Promise<void> {
  const includePayload = options.payload === true;
  const filter = { ...filterOf(options), includePayload, pageSize: Math.min(options.limit, page) };
  const shown: JobStatus[] = [];
  let told = 0;
  let more = false;
  const progress = new Progress(io, (found) => `${count(found)} read`);
  for await (const job of client.list(filter)) {
    if (io.interrupted.aborted) throw new Exit(exits.interrupted, "");
    if (told === options.limit) {
      more = true;
      break;
    }
    told++;
    if (view.machine) view.line(json(job));
    else shown.push(job);
    if (!view.machine && told % page === 0) progress.at(told);
  }
  progress.over();
  if (!view.machine) view.rows(shown, jobColumns, "no jobs match");
  if (more) view.note(`the first ${count(told)}; --limit shows more`);
}
