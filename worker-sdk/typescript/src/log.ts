// Where a worker says what it does. Any pino logger fits; without one, lines of JSON go to stdout.

import { writeSync } from "node:fs";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds these fields to each line. */
  child?(fields: Record<string, unknown>): Logger;
  /** Lines that nobody wants are not even put together where this says so. */
  isLevelEnabled?(level: string): boolean;
}

const rank: Record<string, number> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: 70,
};

/** One line of JSON per event. `level` is the least that is written: debug, info, warn, error or silent; default
 *  DROVER_LOG_LEVEL, else info. @throws RangeError for another level. */
export function jsonLogger(
  level: string = process.env.DROVER_LOG_LEVEL || "info",
  write: (line: string) => void = toStdout,
): Logger {
  const least = rank[level];
  if (least === undefined)
    throw new RangeError(`log level ${level}: use one of ${Object.keys(rank).join(", ")}`);
  return new JsonLogger(least, write, {});
}

class JsonLogger implements Logger {
  constructor(
    private readonly least: number,
    private readonly write: (line: string) => void,
    private readonly bound: Record<string, unknown>,
  ) {}

  debug(fields: object, message: string): void {
    this.line("debug", fields, message);
  }
  info(fields: object, message: string): void {
    this.line("info", fields, message);
  }
  warn(fields: object, message: string): void {
    this.line("warn", fields, message);
  }
  error(fields: object, message: string): void {
    this.line("error", fields, message);
  }

  child(fields: Record<string, unknown>): Logger {
    return new JsonLogger(this.least, this.write, { ...this.bound, ...fields });
  }

  isLevelEnabled(level: string): boolean {
    return (rank[level] ?? 0) >= this.least;
  }

  private line(level: LogLevel, fields: object, message: string): void {
    if (!this.isLevelEnabled(level)) return;
    let line: string;
    try {
      line = JSON.stringify({
        level,
        time: new Date().toISOString(),
        msg: message,
        ...this.bound,
        ...fields,
      });
    } catch {
      // What somebody wanted logged is not JSON (a cycle, a bigint): a log line must never fail a job.
      line = JSON.stringify({ level, time: new Date().toISOString(), msg: message, ...this.bound });
    }
    this.write(`${line}\n`);
  }
}

/** The same logger with more fields on each line, whether or not it knows how to do that itself. */
export function withFields(logger: Logger, fields: Record<string, unknown>): Logger {
  if (logger.child !== undefined) return logger.child(fields);
  return {
    debug: (more, message) => logger.debug({ ...fields, ...more }, message),
    info: (more, message) => logger.info({ ...fields, ...more }, message),
    warn: (more, message) => logger.warn({ ...fields, ...more }, message),
    error: (more, message) => logger.error({ ...fields, ...more }, message),
  };
}

// A worker ends tens of thousands of jobs a second: the lines of one turn of the event loop go out in one write.
let lines = "";

function toStdout(line: string): void {
  if (lines === "") setImmediate(flush);
  lines += line;
}

function flush(): void {
  const text = lines;
  lines = "";
  if (text !== "") process.stdout.write(text);
}

process.once("exit", () => {
  try {
    if (lines !== "") writeSync(1, lines);
  } catch {
    // stdout is gone, and so is whom to tell.
  }
});
