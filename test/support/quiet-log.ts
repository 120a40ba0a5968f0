import type { Log, Outcome } from "../../broker/src/app/telemetry.js";

/** A log for tests: keeps its lines, for whoever wants to see them. */
export class QuietLog implements Log {
  readonly lines: { level: string; fields: object; message: string }[] = [];

  outcome(fields: Outcome): void {
    this.lines.push({ level: "info", fields, message: fields.outcome });
  }

  debug(fields: object, message: string): void {
    this.lines.push({ level: "debug", fields, message });
  }

  info(fields: object, message: string): void {
    this.lines.push({ level: "info", fields, message });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: "warn", fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: "error", fields, message });
  }
}

export const quiet: Log = new QuietLog();
