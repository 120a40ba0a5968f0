// Following one job.

import type { Job } from "@drover/proto/v1";
import { JobServiceService, type WatchResponse } from "@drover/proto/v1/job_service";
import type { Brokers } from "./brokers.js";
import { type FollowOptions, type FollowRules, follow } from "./follow.js";
import { hasEnded } from "./job.js";

const rules: FollowRules<WatchResponse, Job> = { of: ({ job }) => job, ended: hasEnded, tellsMore };

/** The job now and after each change, the last time when it has ended. @throws CallError, the signal's reason */
export function watchJob(brokers: Brokers, id: string, options: FollowOptions): AsyncGenerator<Job, void> {
  return follow(brokers, JobServiceService.watch, { id }, rules, options);
}

function tellsMore(job: Job, last: Job): boolean {
  return (
    job.revision !== last.revision ||
    job.state !== last.state ||
    job.attempt !== last.attempt ||
    job.cancelRequested !== last.cancelRequested ||
    job.progress?.reportedAt?.seconds !== last.progress?.reportedAt?.seconds ||
    job.progress?.reportedAt?.nanos !== last.progress?.reportedAt?.nanos
  );
}
