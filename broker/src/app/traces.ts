// What the use cases tell for whoever collects traces. A job's spans are made by many brokers and have to fit one
// another, but nothing is stored for them: whoever follows a job works out from the job alone which trace it belongs to
// and what its attempts are called there.

import type { Spec } from "../core/job.js";
import type { Changed } from "./ledger.js";

export interface Traces {
  /** A job was stored, or put in the place of one that waited; `at` is when. */
  stored(spec: Spec, at: number): void;
  /** The job as its worker gets it: its headers name the attempt as what the run belongs to. */
  lent(spec: Spec, attempt: number): Spec;
  /** An attempt or a job may have ended by this change, which was stored at `at`. */
  changed(changed: Changed, at: number): void;
}
