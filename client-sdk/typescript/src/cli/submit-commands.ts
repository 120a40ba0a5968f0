// `drover submit` and `drover run`.

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { type Command, Option } from "commander";
import type { BatchItem, SubmitOptions } from "../client.js";
import type { JobHandle } from "../handle.js";
import { examples } from "./examples.js";
import { Exit, exits, usage } from "./exit.js";
import type { Io } from "./io.js";
import { recordOf } from "./job-view.js";
import { toDuration, toNumber, toPair, toTime, toWhole } from "./parse.js";
import { parsed, payloadOf } from "./payload-argument.js";
import { readFile, type Session, withSession } from "./session.js";
import { count, json } from "./text.js";
import { Progress } from "./view.js";

interface Options {
  queue?: string;
  priority?: number;
  key?: string;
  rejectExisting?: true;
  concurrencyKey?: string;
  unique?: string;
  uniqueFor?: number;
  debounce?: number;
  debounceMax?: number;
  delay?: number;
  at?: Date;
  startBy?: Date;
  retries?: number;
  retryDelay?: number;
  retryFactor?: number;
  retryMaxDelay?: number;
  retryJitter?: number;
  maxCrashes?: number;
  softLimit?: number;
  hardLimit?: number;
  keep?: number;
  label?: Record<string, string>;
  header?: Record<string, string>;
  contentType?: string;
  lines?: string;
  wait?: number;
}

const batch = 1_000;

export function addSubmit(program: Command, io: Io): void {
  jobOptions(program.command("submit"))
    .description("Store a job and print its id. The payload is JSON, @FILE or - for standard input.")
    .argument("<task>", "kind of work")
    .argument("[payload]", "JSON, @FILE or -; default: null")
    .option(
      "--lines <file>",
      "many jobs: a JSON payload on each line of FILE or - (no payload argument then)",
    )
    .addHelpText(
      "after",
      examples(
        `submit mail.send '{"to": "ada@example.com"}'`,
        "submit reports.build @report.json --delay 10m --key report-2026-11",
        "submit images.resize --lines images.ndjson --queue bulk --priority 1",
      ),
    )
    .action((task: string, payload: string | undefined, options: Options, command: Command) =>
      withSession(io, command, (session) =>
        options.lines === undefined
          ? submitOne(session, task, payload, options)
          : submitLines(session, task, payload, options),
      ),
    );

  jobOptions(program.command("run"))
    .description("Submit a job, wait for its end and print its result.")
    .argument("<task>", "kind of work")
    .argument("[payload]", "JSON, @FILE or -; default: null")
    .addOption(
      new Option("-w, --wait <duration>", "how long; default: as long as it takes").argParser(toDuration),
    )
    .addHelpText(
      "after",
      examples(`run math.add '{"a": 1, "b": 2}' --wait 30s`, "run reports.build @report.json -o json"),
    )
    .action((task: string, payload: string | undefined, options: Options, command: Command) =>
      withSession(io, command, async (session) => {
        const content = await payloadOf(session.io, payload, options.contentType);
        const job = await session.client.submit(task, content, submitOptions(options));
        await finish(session, job, options.wait);
      }),
    );
}

function jobOptions(command: Command): Command {
  const duration = (flags: string, what: string) => new Option(flags, what).argParser(toDuration);
  return command
    .option("-q, --queue <name>", "default: what routes say, else default")
    .addOption(new Option("-p, --priority <0-9>", "9 is the most urgent").argParser(toWhole(0, 9)))
    .option("-k, --key <key>", "the job's name inside its task: a second submit of it gives the same job")
    .option("--reject-existing", "fail when the task has a job of that key")
    .option("--concurrency-key <key>", "of the task's jobs that share it only so many run at a time")
    .option("--unique <key>", "at most one job of the task with this key, until it has ended")
    .addOption(duration("--unique-for <duration>", "for this long from the submit on instead"))
    .addOption(duration("--debounce <duration>", "wait after the last submit of the same --key"))
    .addOption(duration("--debounce-max <duration>", "the longest wait after the first submit"))
    .addOption(duration("-d, --delay <duration>", "wait before the first run"))
    .addOption(new Option("--at <time>", "time of the first run, with its zone").argParser(toTime))
    .addOption(new Option("--start-by <time>", "fail as EXPIRED when not begun by then").argParser(toTime))
    .addOption(new Option("--retries <n>", "runs after the first").argParser(toWhole(0, 999)))
    .addOption(duration("--retry-delay <duration>", "wait after the first failure"))
    .addOption(new Option("--retry-factor <x>", "by which each wait grows").argParser(toNumber(1, 100)))
    .addOption(duration("--retry-max-delay <duration>", "the longest wait"))
    .addOption(new Option("--retry-jitter <share>", "by which waits are spread").argParser(toNumber(0, 1)))
    .addOption(
      new Option("--max-crashes <n>", "runs without a report; 0 = at most once").argParser(toWhole(0, 100)),
    )
    .addOption(duration("--soft-limit <duration>", "after this a run is told to finish"))
    .addOption(duration("--hard-limit <duration>", "after this a run is over and has failed"))
    .addOption(duration("--keep <duration>", "how long the record is kept; 0s keeps no result"))
    .addOption(new Option("-l, --label <name=value>", "may be repeated").argParser(toPair))
    .addOption(new Option("--header <name=value>", "may be repeated").argParser(toPair))
    .option("--content-type <type>", "the payload is these bytes, not JSON");
}

function submitOptions(options: Options): SubmitOptions {
  if (options.uniqueFor !== undefined && options.unique === undefined)
    throw usage("--unique-for goes with --unique");
  if (options.debounceMax !== undefined && options.debounce === undefined)
    throw usage("--debounce-max goes with --debounce");
  const retry = {
    retries: options.retries,
    initialDelay: options.retryDelay,
    factor: options.retryFactor,
    maxDelay: options.retryMaxDelay,
    jitter: options.retryJitter,
    maxCrashes: options.maxCrashes,
  };
  return set({
    queue: options.queue,
    priority: options.priority,
    key: options.key,
    concurrencyKey: options.concurrencyKey,
    unique:
      options.unique === undefined
        ? undefined
        : { key: options.unique, ...(options.uniqueFor !== undefined && { period: options.uniqueFor }) },
    debounce:
      options.debounce === undefined
        ? undefined
        : {
            wait: options.debounce,
            ...(options.debounceMax !== undefined && { maxWait: options.debounceMax }),
          },
    delay: options.delay,
    runAt: options.at,
    startBy: options.startBy,
    softTimeLimit: options.softLimit,
    hardTimeLimit: options.hardLimit,
    resultRetention: options.keep,
    labels: options.label,
    headers: options.header,
    onConflict: options.rejectExisting === true ? ("reject" as const) : undefined,
    retry: Object.values(retry).some((value) => value !== undefined) ? set(retry) : undefined,
  });
}

type Set<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function set<T extends object>(fields: T): Set<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Set<T>;
}

async function submitOne(
  session: Session,
  task: string,
  payload: string | undefined,
  options: Options,
): Promise<void> {
  const content = await payloadOf(session.io, payload, options.contentType);
  const job = await session.client.submit(task, content, submitOptions(options));
  const { id, deduplicated, submittedAs } = job;
  session.view.show({ id, deduplicated, state: submittedAs }, () => {
    session.view.line(id);
    if (deduplicated) session.view.note(`it was there already: ${submittedAs}`);
  });
}

/** In batches, as they are read: nothing is held that was sent. */
async function submitLines(
  session: Session,
  task: string,
  payload: string | undefined,
  options: Options,
): Promise<void> {
  if (payload !== undefined) throw usage("--lines brings the payloads: leave the payload argument out");
  if (options.key !== undefined) throw usage("--key names one job: it does not go with --lines");
  const { onConflict, ...job } = submitOptions(options);
  const counts = { submitted: 0, refused: 0 };
  const progress = new Progress(session.io, (done) => `${count(done)} submitted`);
  const send = async (items: BatchItem[]) => {
    const results = await session.client.submitBatch(items, onConflict === undefined ? {} : { onConflict });
    for (const result of results) {
      if (result.ok) counts.submitted++;
      else {
        counts.refused++;
        session.view.note(`refused: ${result.error.message}`);
      }
    }
    progress.at(counts.submitted);
  };
  const items: BatchItem[] = [];
  let at = 0;
  for await (const line of linesOf(session.io, options.lines ?? "-")) {
    at++;
    if (line.trim() === "") continue;
    items.push({ ...job, task, payload: parsed(line, `line ${at}`) });
    if (items.length === batch) await send(items.splice(0));
    if (session.io.interrupted.aborted)
      throw new Exit(exits.interrupted, `interrupted after ${counts.submitted} jobs`);
  }
  if (items.length > 0) await send(items);
  progress.over();
  session.view.show(counts, () => session.view.line(`${count(counts.submitted)} submitted`));
  if (counts.refused > 0) throw new Exit(exits.failed, `${count(counts.refused)} of the jobs were refused`);
}

function linesOf(io: Io, file: string): AsyncIterable<string> {
  const input = file === "-" ? io.in : Readable.from(readFile(file));
  return createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
}

/** Waits for a job's end and prints what it came to. Interrupted or timed out, the job goes on. */
async function finish({ view, io }: Session, job: JobHandle, timeout: number | undefined): Promise<void> {
  if (io.err.isTTY === true) view.note(job.id);
  const interrupted = new Promise<never>((_, reject) => {
    const leave = () => reject(new Exit(exits.interrupted, `interrupted; ${job.id} goes on`));
    if (io.interrupted.aborted) leave();
    else io.interrupted.addEventListener("abort", leave, { once: true });
  });
  const ended = await Promise.race([job.wait(timeout === undefined ? {} : { timeout }), interrupted]);
  view.show(ended, () => {
    if (ended.state === "SUCCEEDED") view.line(json(ended.result ?? null, 2));
    else recordOf(view, ended);
  });
  if (ended.state !== "SUCCEEDED") throw new Exit(exits.failed, `${job.id} ${ended.state.toLowerCase()}`);
}
