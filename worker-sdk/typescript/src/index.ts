export type { AccessOptions, CallMetadata, TlsFiles } from "./access.js";
export { type DetachedRun, detachedContext, type TaskContext } from "./context.js";
export {
  HardTimeLimitExceeded,
  Interrupted,
  JobCancelled,
  LeaseLost,
  Permanent,
  Release,
  Retry,
  Snooze,
  SoftTimeLimitExceeded,
  WorkerDraining,
} from "./errors.js";
export type { FlowInput } from "./inputs.js";
export type { Around } from "./invoke.js";
export { IsolatedRunEnded } from "./isolated-runs.js";
export type { Isolation, ModuleRef } from "./isolation.js";
export { jsonLogger, type Logger } from "./log.js";
export type { QueueOption, WorkerOptions } from "./options.js";
export type { ErrorRule, FailureRules } from "./outcomes.js";
export { PayloadError, RawPayload } from "./payload.js";
export type { FieldViolation } from "./rpc-status.js";
export type { InputOf, OutputOf, Schema } from "./schema.js";
export { SessionError } from "./session-error.js";
export {
  type AnyTask,
  defineTask,
  type Handler,
  implement,
  type RunOptions,
  type Schemas,
  type Task,
  type TaskContract,
  type TaskDefaults,
  type TaskOptions,
  type TaskRetry,
} from "./task.js";
export { VERSION } from "./version.js";
export { Worker } from "./worker.js";
