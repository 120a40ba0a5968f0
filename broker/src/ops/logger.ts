// The log: one JSON object a line for machines, one readable line for a terminal. Nothing that belongs to a submitter
// is ever logged, and names that could carry it are cut out should somebody try.
//
// What became of jobs is told thousands of times a second. Such a line consists of names and numbers, so it is put
// together by hand (a tenth of what cutting out secrets costs), and the lines of a while are written in one go.

import { pino } from "pino";
import type { Log, Outcome } from "../app/telemetry.js";

export interface LogOptions {
  level: "debug" | "info" | "warn" | "error" | "silent";
  /** auto = text when the output is a terminal. */
  format: "auto" | "json" | "text";
}

interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
}

const secrets = ["payload", "result", "token", "password"];

export function createLogger(options: LogOptions, output: Output = process.stdout): Log {
  const readable = options.format === "text" || (options.format === "auto" && output.isTTY === true);
  const lines = new Lines(output);
  const form = readable ? toText : (line: string) => line;
  const log = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: { paths: [...secrets, ...secrets.map((name) => `*.${name}`)], censor: "[cut]" },
    },
    { write: (line: string) => lines.add(form(line)) },
  );
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    outcome: log.isLevelEnabled("info")
      ? (outcome) => lines.gather(form(outcomeLine(outcome)))
      : () => undefined,
  };
}

/** A write wakes whoever reads the log: a client's answer is not to wait for that, nor each job to pay for it. */
const outcomesWithin = 20;
/** Characters that are written whatever else could come. */
const mostWaiting = 64 * 1024;

/** Gathers lines, for a turn of the event loop or a little longer. They stay in order. */
class Lines {
  #waiting = "";
  #soon = false;
  #later: NodeJS.Timeout | undefined;

  constructor(private readonly output: Output) {
    // The last words of a process that ends itself: nothing else runs any more.
    if (output === process.stdout) process.once("exit", () => this.#write());
  }

  add(line: string): void {
    this.#waiting += line;
    if (this.#soon) return;
    this.#soon = true;
    setImmediate(() => this.#write());
  }

  /** For a line of which there may be thousands. */
  gather(line: string): void {
    this.#waiting += line;
    if (this.#waiting.length >= mostWaiting) this.#write();
    else this.#later ??= setTimeout(() => this.#write(), outcomesWithin).unref();
  }

  #write(): void {
    const lines = this.#waiting;
    this.#waiting = "";
    this.#soon = false;
    clearTimeout(this.#later);
    this.#later = undefined;
    if (lines !== "") this.output.write(lines);
  }
}

const messages = {
  succeeded: "job succeeded",
  failed: "job failed",
  cancelled: "job cancelled",
  retrying: "attempt failed, the job will be retried",
  crashed: "attempt ended without a report, the job is ready again",
} as const satisfies Record<Outcome["outcome"], string>;

/** Names of jobs, tasks, queues and reasons have no characters that JSON would want escaped. */
function outcomeLine({ job, task, queue, attempt, outcome, reason, ran, dueAt }: Outcome): string {
  return (
    `{"level":"info","time":"${timeNow()}","job":"${job}","task":"${task}","queue":"${queue}"` +
    `,"attempt":${attempt},"outcome":"${outcome}"` +
    (reason === "" ? "" : `,"reason":"${reason}"`) +
    (ran === undefined ? "" : `,"durationMs":${ran}`) +
    (dueAt === 0 ? "" : `,"dueAt":${dueAt}`) +
    `,"msg":"${messages[outcome]}"}\n`
  );
}

let time = { at: 0, text: "" };

function timeNow(): string {
  const at = Date.now();
  if (at !== time.at) time = { at, text: new Date(at).toISOString() };
  return time.text;
}

/** `12:03:04.567 WARN  worker lost  worker=host:17 leases=3`, and the stack of an error below it. */
function toText(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const said = Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`);
  const head = [String(time).slice(11, 23), String(level).toUpperCase().padEnd(5), msg];
  const stack =
    err === undefined
      ? ""
      : `\n  ${String((err as { stack?: unknown }).stack ?? plain(err)).replaceAll("\n", "\n  ")}`;
  return `${safe(`${[head.join(" "), ...said].join("  ")}${stack}`)}\n`;
}

/** A worker may call itself anything, and a terminal obeys control characters: none gets there but the line break. */
function safe(text: string): string {
  return text.replace(/[^\P{Cc}\n]|[\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
