export type { AccessOptions, CallMetadata, TlsFiles } from "@drover/proto/sdk/access";
export { PayloadError, RawPayload } from "@drover/proto/sdk/payload";
export type { FieldViolation } from "@drover/proto/sdk/rpc-status";
export type { InputOf, OutputOf, Schema } from "@drover/proto/sdk/schema";
export type { CallOptions } from "./call.js";
export {
  type BatchItem,
  type BatchResult,
  Client,
  type ClientOptions,
  type JobPage,
  type ListFilter,
  type SubmitOptions,
} from "./client.js";
export {
  CallError,
  ClientBusyError,
  ClientClosedError,
  DeadlineExceededError,
  DroverError,
  FlowFailedError,
  FlowNotFoundError,
  FlowTimeoutError,
  InvalidArgumentError,
  JobCancelledError,
  JobExistsError,
  JobFailedError,
  JobNotFoundError,
  NotFailedError,
  NotWaitingError,
  OverloadedError,
  OwnedByAnotherError,
  QueueNotFoundError,
  ResultTimeoutError,
  ScheduleNotFoundError,
  UnavailableError,
} from "./errors.js";
export type { Explanation, Obstacle, ObstacleKind } from "./explanation.js";
export {
  chain,
  chord,
  type FlowNode,
  graph,
  group,
  type OnFailure,
  type StepOptions,
  step,
  type Vertex,
} from "./flow-builders.js";
export type { FlowMemberStatus, FlowState, FlowStatus } from "./flow-status.js";
export type { FlowFilter, FlowHandle, FlowOptions, Flows } from "./flows.js";
export {
  type Cancelled,
  type CancelOutcome,
  JobHandle,
  type Place,
  type StatusOptions,
  SubmittedJob,
  type WatchOptions,
} from "./handle.js";
export type { ActiveJob, Inspect, Inspected, RegisteredTask, ServerInfo, WorkerStatus } from "./inspect.js";
export type {
  Attempt,
  AttemptOutcome,
  Failure,
  FailureReason,
  JobState,
  JobStatus,
  Progress,
  RetryStatus,
} from "./job.js";
export { newKey } from "./key.js";
export { type LimitStatus, parseRate, type Rate, type Retention, type RunLimits } from "./limits.js";
export type { Purged, PurgeOptions, QueueChange, QueueStatus, Queues } from "./queues.js";
export type { OwnedRoute, Route, Routes, RoutesPut, RouteTest } from "./routes.js";
export type {
  Firing,
  FiringOutcome,
  MisfireRule,
  OverlapRule,
  Schedule,
  ScheduleRule,
  ScheduleStatus,
  Schedules,
  SchedulesPut,
} from "./schedules.js";
export {
  type JobOptions,
  type RetryOptions,
  type SubmitDefaults,
  type TaskRef,
  type TaskSchemas,
  taskRef,
} from "./spec.js";
export type { OnConflict } from "./submit.js";
export type { TaskStatus, Tasks } from "./tasks.js";
export { VERSION } from "./version.js";
export type { WaitOptions } from "./wait.js";
