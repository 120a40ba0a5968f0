// The log: one JSON object a line for machines, one readable line for a terminal. Nothing that belongs to a submitter
// is ever logged, and names that could carry it are cut out should somebody try.

import { type DestinationStream, type Logger, pino } from "pino";

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

export function createLogger(options: LogOptions, output: Output = process.stdout): Logger {
  const readable = options.format === "text" || (options.format === "auto" && output.isTTY === true);
  const destination: DestinationStream = readable
    ? { write: (line) => output.write(toText(line)) }
    : { write: (line) => output.write(line) };
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: { paths: [...secrets, ...secrets.map((name) => `*.${name}`)], censor: "[cut]" },
    },
    destination,
  );
}

/** `12:03:04.567 WARN  worker lost  worker=host:17 leases=3`, and the stack of an error below it. */
export function toText(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const said = Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`);
  const head = [String(time).slice(11, 23), String(level).toUpperCase().padEnd(5), msg];
  const stack =
    err === undefined
      ? ""
      : `\n  ${String((err as { stack?: unknown }).stack ?? plain(err)).replaceAll("\n", "\n  ")}`;
  return `${[head.join(" "), ...said].join("  ")}${stack}\n`;
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
