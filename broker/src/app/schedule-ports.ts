// What the store keeps of schedules, and how it says that the time of one has come.

/** What became of a planned time. Times in ms since 1970. */
export interface Firing {
  plannedAt: number;
  handledAt: number;
  /** A FiringOutcome. */
  outcome: number;
  /** "" where none was submitted. */
  jobId: string;
  /** Planned times that were missed together; 0 where it is one. */
  count: number;
  /** Why it was refused. */
  detail: string;
}

/** A schedule as it is stored. Times in ms, 0 = unset. */
export interface ScheduleRecord {
  name: string;
  owner: string;
  createdAt: number;
  changedAt: number;
  /** When its rule was declared. */
  declaredAt: number;
  /** As its owner sent it. */
  declared: Uint8Array;
  paused: boolean;
  /** Everything up to this has been dealt with. */
  lastAt: number;
  /** 0 = never again, or paused. */
  nextAt: number;
  /** Of the last job that it submitted; "" = none. */
  lastTask: string;
  lastKey: string;
  /** The latest first. */
  firings: Firing[];
  /** Names the commit that wrote it. */
  nonce: string;
}

/** A schedule with the value for the compare-and-set; a record that was removed lately has one too. */
export interface KnownSchedule {
  record: ScheduleRecord | undefined;
  seq: number;
}

/** A planned time has come. Not acked, it comes again. */
export interface FiringTicket {
  name: string;
  /** ms since 1970. */
  plannedAt: number;
  ack(): void;
}

/** All of it throws Refusal STORE_UNAVAILABLE. */
export interface Schedules {
  /** In order. */
  read(names: readonly string[]): Promise<KnownSchedule[]>;
  /** Of all schedules, in order. */
  names(): Promise<string[]>;
  /** Writes them in one step, each with its alarm (`nextAt`); a record of nothing removes. False: another broker was
   *  faster with one of them, and nothing was written. */
  write(
    changes: readonly { name: string; record: ScheduleRecord | undefined; seq: number }[],
  ): Promise<boolean>;
}
