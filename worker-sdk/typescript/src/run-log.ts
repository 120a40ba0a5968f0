// The events that a worker logs of each run, the same in every SDK: job_id, task, attempt, duration_ms. Never payloads,
// nor results.

import { toMillis } from "@drover/proto/sdk/time";
import { FailureReason } from "@drover/proto/v1/job";
import type { Interrupted } from "./errors.js";
import type { Run } from "./holdings.js";
import type { Logger, LogLevel } from "./log.js";
import type { Report } from "./outcomes.js";

export class RunLog {
  constructor(private readonly logger: Logger) {}

  started(run: Run): void {
    this.write("info", "task_started", run, undefined);
  }

  ended(run: Run, report: Report): void {
    switch (report.$case) {
      case "success":
        return this.write("info", "task_completed", run, elapsed(run));
      case "failure": {
        const { reason, type, message, retryAfter } = report.value;
        const { failures, maxAttempts } = run.lease;
        const lastOne = maxAttempts > 0 && failures + 1 >= maxAttempts;
        const final = lastOne || reason === FailureReason.FAILURE_REASON_PERMANENT;
        const error = { error_type: type, error: message, retry_after_ms: toMillis(retryAfter), final };
        return this.write(final ? "error" : "warn", "task_failed", run, { ...elapsed(run), ...error });
      }
      case "release":
        return this.released(run);
      case "snooze":
        return this.write("info", "task_snoozed", run, {
          ...elapsed(run),
          delay_ms: toMillis(report.value.delay),
        });
      case "cancelled":
        return this.write("info", "task_cancelled", run, elapsed(run));
    }
  }

  released(run: Run): void {
    this.write("info", "task_released", run, elapsed(run));
  }

  lost(run: Run, why: Interrupted): void {
    this.write("warn", "task_lost", run, { ...elapsed(run), reason: why.message });
  }

  private write(level: LogLevel, event: string, run: Run, more: object | undefined): void {
    if (this.logger.isLevelEnabled?.(level) === false) return;
    const { jobId, task, attempt } = run.lease;
    this.logger[level]({ event, job_id: jobId, task, attempt, ...more }, event);
  }
}

function elapsed(run: Run): { duration_ms: number } {
  return { duration_ms: Math.round((performance.now() - run.startedAt) * 10) / 10 };
}
