// Changing what becomes of jobs: `drover cancel`, `redrive` and `move`, of some by their ids or of all that match.

import { type Command, Option } from "commander";
import { JobNotFoundError, NotFailedError, NotWaitingError } from "../errors.js";
import type { Place } from "../handle.js";
import type { JobStatus } from "../job.js";
import { examples } from "./examples.js";
import { Exit, exits, usage } from "./exit.js";
import type { Io } from "./io.js";
import { addFilter, type Filter, filterOf } from "./job-looks.js";
import { jobColumns } from "./job-view.js";
import { toWhole } from "./parse.js";
import { type Session, withSession } from "./session.js";
import { count } from "./text.js";
import { Progress } from "./view.js";

const atOnce = 64;
/** A dry run shows so many of the jobs. */
const sample = 10;

interface Bulk extends Filter {
  dryRun?: true;
}

/** What is done to each of the jobs. */
interface Deed {
  readonly verb: "cancel" | "redrive" | "move";
  /** Whether a job is worth asking for: the others would only be refused, one by one. */
  readonly meets: (job: JobStatus) => boolean;
  readonly change: (id: string) => Promise<{ outcome: string; done: boolean }>;
}

/** A job to be changed; what it was where it was listed for that. */
interface Listed {
  readonly id: string;
  readonly job: JobStatus | undefined;
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
        each(session, ids, options, {
          verb: "cancel",
          meets: (job) => !job.finished,
          change: async (id) => {
            const { outcome } = await session.client.job(id).cancel(options.reason);
            return {
              outcome: outcome.toLowerCase().replaceAll("_", " "),
              done: outcome !== "ALREADY_FINISHED",
            };
          },
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
        each(
          session,
          ids,
          { ...options, state: options.state ?? "FAILED" },
          {
            verb: "redrive",
            meets: (job) => job.state === "FAILED",
            change: async (id) => {
              await session.client.job(id).redrive();
              return { outcome: "ready", done: true };
            },
          },
        ),
      ),
    );

  addMove(program, io);
}

interface MoveFlags extends Bulk {
  to?: string;
  toPriority?: number;
}

function addMove(program: Command, io: Io): void {
  addFilter(program.command("move"))
    .description("Put jobs that wait into another queue, or under another priority. They keep their ids.")
    .argument("[id...]", "job ids; none: all that match the filter and wait")
    .option("--to <queue>", "the queue they go to")
    .addOption(
      new Option("--to-priority <0-9>", "the priority they have from then on").argParser(toWhole(0, 9)),
    )
    .option("--dry-run", "only say which")
    .addHelpText(
      "after",
      examples(
        "move billing.charge~invoice-7 --to urgent --to-priority 9",
        "move --queue bulk --task mail.send --to mail --dry-run",
      ),
    )
    .action((ids: string[], options: MoveFlags, command: Command) =>
      withSession(io, command, (session) => {
        const { to: queue, toPriority: priority } = options;
        if (queue === undefined && priority === undefined) throw usage("say --to, --to-priority or both");
        const place = { ...(queue !== undefined && { queue }), ...(priority !== undefined && { priority }) };
        return each(session, ids, options, {
          verb: "move",
          // A job that was moved a moment ago is listed once more, where it lies now.
          meets: (job) => !job.finished && job.state !== "RUNNING" && !isAt(job, place),
          change: async (id) => {
            const moved = await session.client.job(id).move(place);
            return { outcome: `in ${moved.queue}, priority ${moved.priority}`, done: true };
          },
        });
      }),
    );
}

async function each(
  session: Session,
  ids: readonly string[],
  options: Bulk,
  { verb, meets, change }: Deed,
): Promise<void> {
  const { view, io } = session;
  const byFilter = ids.length === 0;
  if (byFilter && options.task === undefined && options.queue === undefined) {
    throw usage(`say which jobs to ${verb}: ids, or --task or --queue`);
  }
  const jobs = byFilter ? listed(session, options, meets) : namedOf(session, ids);
  if (options.dryRun === true) return dryRun(session, jobs, verb);

  const counts = { done: 0, left: 0 };
  const told: Told[] = [];
  const progress = new Progress(io, (done) => `${verb}: ${count(done)}`);
  const one = async ({ id }: { id: string }) => {
    const { outcome, done } = await change(id).catch((error: unknown) => {
      if (
        error instanceof JobNotFoundError ||
        error instanceof NotFailedError ||
        error instanceof NotWaitingError
      ) {
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

function isAt(job: JobStatus, { queue, priority }: Place): boolean {
  return (queue ?? job.queue) === job.queue && (priority ?? job.priority) === job.priority;
}

async function* listed({ client }: Session, filter: Filter, meets: Deed["meets"]): AsyncGenerator<Listed> {
  for await (const job of client.list({ ...filterOf(filter), pageSize: 1_000 })) {
    if (meets(job)) yield { id: job.id, job };
  }
}

async function* namedOf({ client }: Session, ids: readonly string[]): AsyncGenerator<Listed> {
  // Made at once, so that a malformed id is said before anything was changed.
  yield* ids.map((id) => ({ id: client.job(id).id, job: undefined }));
}

async function dryRun(
  { view, client, io }: Session,
  jobs: AsyncIterable<Listed>,
  verb: Deed["verb"],
): Promise<void> {
  const first: JobStatus[] = [];
  let matched = 0;
  const progress = new Progress(io, (found) => `${verb}: ${count(found)} found`);
  for await (const { id, job } of jobs) {
    if (io.interrupted.aborted) throw new Exit(exits.interrupted, "interrupted; nothing was changed");
    matched++;
    if (first.length < sample) first.push(job ?? (await client.job(id).status()));
    progress.at(matched);
  }
  progress.over();
  view.show({ matched, sample: first.map(({ id, state }) => ({ id, state })) }, () => {
    for (const line of view.table(first, jobColumns)) view.line(line);
    if (matched > first.length) view.line(`... and ${count(matched - first.length)} more`);
    view.line(`${verb} would meet ${count(matched)} jobs; nothing was changed`);
  });
}
