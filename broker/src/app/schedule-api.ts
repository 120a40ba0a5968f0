// What may be asked and said of schedules.

import type { Schedule } from "../core/schedule.js";
import type { ScheduleRecord } from "./schedule-ports.js";

export interface ScheduleView {
  record: ScheduleRecord;
  schedule: Schedule;
}

/** A schedule and the bytes that it was sent as. */
export interface DeclaredSchedule {
  schedule: Schedule;
  bytes: Uint8Array;
}

export interface SchedulesApi {
  /** Declares an owner's schedules: all or nothing. @throws Refusal OWNED_BY_ANOTHER, INVALID_ARGUMENT */
  put(request: {
    owner: string;
    schedules: readonly DeclaredSchedule[];
    removeUndeclared: boolean;
    dryRun: boolean;
  }): Promise<{ added: string[]; changed: string[]; unchanged: string[]; undeclared: string[] }>;
  /** @throws Refusal SCHEDULE_NOT_FOUND, as those below do */
  get(name: string): Promise<ScheduleView>;
  /** "" = any, or from the start; `pageSize` 1 to 1,000. */
  list(query: {
    owner: string;
    task: string;
    pageSize: number;
    pageToken: string;
  }): Promise<{ schedules: ScheduleView[]; nextPageToken: string }>;
  remove(name: string): Promise<void>;
  pause(name: string): Promise<ScheduleView>;
  resume(name: string): Promise<ScheduleView>;
  /** The id of the job that it submitted. */
  trigger(name: string): Promise<string>;
  /** The next planned times, ms since 1970; `from` 0 = now. */
  preview(of: string | Schedule, count: number, from: number): Promise<number[]>;
}
