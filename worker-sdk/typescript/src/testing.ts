// What tests need: the package's entry `@drover/worker/testing`. Nothing of it is loaded by a worker in production.

export { EagerClient, type EagerOptions } from "./eager.js";
export {
  type EagerAttempt,
  EagerFailure,
  EagerJob,
  type EagerJobFailure,
  EagerRefusal,
  type EagerState,
  type EagerStatus,
} from "./eager-job.js";
export { droverFixture, startDrover, type TestDrover, type TestOptions } from "./testing-broker.js";
