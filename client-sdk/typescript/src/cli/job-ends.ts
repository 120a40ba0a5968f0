// Changing what becomes of jobs: `drover cancel` and `redrive`, of some by their ids or of all that match.

import type { Command } from "commander";
import { JobNotFoundError, NotFailedError } from "../errors.js";
import type { JobStatus } from "../job.js";
import { examples } from "./examples.js";
import { Exit, exits, usage } from "./exit.js";
import type { Io } from "./io.js";
import { addFilter, type Filter, filterOf } from "./job-looks.js";
import { jobColumns } from "./job-view.js";
import { type Session, withSession } from "./session.js";
import { count } from "./text.js";
import { Progress } from "./view.js";

const atOnce = 64;
/** A dry run shows so many of the jobs. */
const sample = 10;

interface Bulk extends Filter {
  dryRun?: true;
}

interface Told {
  id: string;
  outcome: string;
}

export function addJobEnds(program: Command, io: Io): void {
  addFilter(program.command("cancel"))
    .description("Cancel jobs: those that wait do not run, those that run are asked to end.")
    .argument("[id...]", "job ids; none: all that match the filter")
    .option("--reason <text>", "kept in the record", "")
    .option("--dry-run", "only say which")
    .addHelpText(
      "after",
      examples(
        "cancel reports.build~2026-11 --reason 'wrong month'",
        "cancel --task mail.send --state scheduled --dry-run",
      ),
    )
    .action((ids: string[], options: Bulk & { reason: string }, command: Command) =>
      withSession(io, command, (session) =>
        each(session, ids, options, "cancel", async (id) => {
          const { outcome } = await session.client.job(id).cancel(options.reason);
          return {
            outcome: outcome.toLowerCase().replaceAll("_", " "),
            done: outcome !== "ALREADY_FINISHED",
          };
        }),
      ),
    );

  addFilter(program.command("redrive"))
    .description("Make failed jobs ready again, with fresh counters.")
    .argument("[id...]", "job ids; none: all failed ones that match the filter")
    .option("--dry-run", "only say which")
    .addHelpText(
      "after",
      examples("redrive billing.charge~invoice-7", "redrive --task billing.charge --dry-run"),
    )
    .action((ids: string[], options: Bulk, command: Command) =>
      withSession(io, command, (session) =>
        each(session, ids, { ...options, state: options.state ?? "FAILED" }, "redrive", async (id) => {
          await session.client.job(id).redrive();
          return { outcome: "ready", done: true };
        }),
      ),
    );
}

async function each(
  session: Session,
  ids: readonly string[],
  options: Bulk,
  verb: "cancel" | "redrive",
  change: (id: string) => Promise<{ outcome: string; done: boolean }>,
): Promise<void> {
  const { client, view, io } = session;
  const byFilter = ids.length === 0;
  if (byFilter && options.task === undefined && options.queue === undefined) {
    throw usage(`say which jobs to ${verb}: ids, or --task or --queue`);
  }
  const jobs = byFilter ? client.list({ ...filterOf(options), pageSize: 1_000 }) : namedOf(session, ids);
  if (options.dryRun === true) return dryRun(session, jobs, verb);

  const counts = { done: 0, left: 0 };
  const told: Told[] = [];
  const progress = new Progress(io, (done) => `${verb}: ${count(done)}`);
  const one = async ({ id }: { id: string }) => {
    const { outcome, done } = await change(id).catch((error: unknown) => {
      if (error instanceof JobNotFoundError || error instanceof NotFailedError) {
        return { outcome: error.message, done: false };
      }
      throw error;
    });
    if (done) counts.done++;
    else counts.left++;
    if (!byFilter) told.push({ id, outcome });
    progress.at(counts.done);
  };
  let under: Promise<void>[] = [];
  for await (const job of jobs) {
    if (io.interrupted.aborted) break;
    // What has ended or not failed would only be refused, one by one.
    if (byFilter && (verb === "cancel") === job.finished) continue;
    under.push(one(job));
    if (under.length === atOnce) {
      await Promise.all(under);
      under = [];
    }
  }
  await Promise.all(under);
  progress.over();
  if (byFilter) view.show(counts, () => view.line(`${verb}: ${count(counts.done)} jobs`));
  else view.rows(told, toldColumns, "");
  if (io.interrupted.aborted)
    throw new Exit(exits.interrupted, `interrupted after ${count(counts.done)} jobs`);
  if (!byFilter && counts.left > 0) throw new Exit(exits.failed, "");
}

const toldColumns = [
  { title: "id", of: ({ id }: Told) => id },
  { title: "outcome", of: ({ outcome }: Told) => outcome },
];

async function* namedOf(
  { client }: Session,
  ids: readonly string[],
): AsyncGenerator<{ id: string; finished: boolean }> {
  // Made at once, so that a malformed id is said before anything was changed.
  yield* ids.map((id) => ({ id: client.job(id).id, finished: false }));
}

async function dryRun(
  { view, client }: Session,
  jobs: AsyncIterable<{ id: string; finished: boolean }>,
  verb: string,
): Promise<void> {
  const first: JobStatus[] = [];
  let matched = 0;
  for await (const job of jobs) {
    if (verb === "cancel" && job.finished) continue;
    matched++;
    if (first.length < sample) first.push(await client.job(job.id).status());
  }
  view.show({ matched, sample: first.map(({ id, state }) => ({ id, state })) }, () => {
    for (const line of view.table(first, jobColumns)) view.line(line);
    if (matched > first.length) view.line(`... and ${count(matched - first.length)} more`);
    view.line(`${verb} would meet ${count(matched)} jobs; nothing was changed`);
  });
}
