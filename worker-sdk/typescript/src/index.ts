export type { AccessOptions, CallMetadata, TlsFiles } from "@drover/proto/sdk/access";
export { PayloadError, RawPayload } from "@drover/proto/sdk/payload";
export type { FieldViolation } from "@drover/proto/sdk/rpc-status";
export type { InputOf, OutputOf, Schema } from "@drover/proto/sdk/schema";
export { type DetachedRun, detachedContext, type TaskContext } from "./context.js";
export {
  HardTimeLimitExceeded,
  Interrupted,
  IsolatedRunEnded,
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
export type { Isolation, ModuleRef } from "./isolation.js";
export { jsonLogger, type Logger } from "./log.js";
export type { QueueOption, WorkerOptions } from "./options.js";
export type { ErrorRule, FailureRules } from "./outcomes.js";
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
