// What tests need: the package's entry `@drover/worker/testing`. Nothing of it is loaded by a worker in production.

export { type EagerAttempt, EagerClient, EagerFailure, EagerJob, type EagerOptions } from "./eager.js";
export { droverFixture, startDrover, type TestDrover, type TestOptions } from "./testing-broker.js";
