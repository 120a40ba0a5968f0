// A worker process for tests that kill it: runs the tasks of `scripts` below, and writes down what happens to each
// attempt, a line each, before anybody else can know it. The file is opened for appending by all workers of a test, so
// the order of its lines is the order of events. Lines, tab between:
//
//   start    pid  job  attempt  ms since 1970
//   end      pid  job  attempt  success | failure | cancelled | ...   (the handler has ended)
//   settled  pid  job  attempt  report  final | open                  (the broker has recorded the report)
//   refused  pid  job  attempt  reason
//
// node journaling-worker.mjs '{"addresses": [...], "journal": FILE, "concurrency": 10, ...}'

import { openSync, writeSync } from "node:fs";
import { FailureReason, WorkerServiceClient } from "@drover/proto/v1";
import { Permanent, Snooze, Worker } from "@drover/worker";

const options = JSON.parse(process.argv[2]);
const { addresses, journal, concurrency = 10, prefetch = 0, stall = false, drainTimeout } = options;
const file = openSync(journal, "a");
const note = (...words) => writeSync(file, `${words.join("\t")}\n`);

/** What a job may ask for in its payload, by `does`. */
const scripts = {
  nothing: () => ({}),
  sleep: ({ ms }, context) => sleep(ms, context.signal),
  /** Fails as often as it is told, then succeeds. */
  fail: ({ times, ms = 0 }, context) =>
    sleep(ms, context.signal).then(() => {
      if (context.failures < times) throw new Error(`failure ${context.failures + 1} of ${times}`);
    }),
  failForGood: () => {
    throw new Permanent("told to");
  },
  snooze: ({ ms }, context) => {
    if (context.attempt === 1) throw new Snooze(ms);
  },
};

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

const around = async ({ jobId, attempt }, run) => {
  note("start", process.pid, jobId, attempt, Date.now());
  let how = "success";
  try {
    await run();
    // By this a record tells which run made it.
    return { pid: process.pid, attempt };
  } catch (error) {
    how = error.name;
    throw error;
  } finally {
    note("end", process.pid, jobId, attempt, how);
  }
};

watchSettlements(WorkerServiceClient.prototype);

const say = (fields) => {
  if (fields.event === "session_attached")
    process.stdout.write(`attached ${fields.address} ${fields.held}\n`);
};
const worker = new Worker({
  addresses,
  concurrency,
  prefetch,
  around,
  logger: { debug() {}, info: say, warn() {}, error: (fields) => console.error(fields) },
  ...(drainTimeout === undefined ? {} : { drainTimeout }),
});
const handler = stall
  ? () => new Promise(() => undefined)
  : (payload, context) => scripts[payload.does](payload, context);
for (let n = 0; n < 4; n++) worker.task(`chaos.${n}`, handler);
await worker.run();

/** Listens in on the Work streams: the SDK keeps to itself what the broker has recorded. */
function watchSettlements(client) {
  const work = client.work;
  /** Token -> lease, since a lease goes by another name in each session. */
  const leases = new Map();
  client.work = function (...args) {
    const stream = work.apply(this, args);
    const byName = new Map();
    const reports = new Map();
    const write = stream.write;
    stream.write = function (request, ...rest) {
      const { message } = request;
      if (message?.$case === "outcomes") {
        for (const { leaseId, report } of message.value.outcomes) reports.set(leaseId, report);
      }
      return write.call(this, request, ...rest);
    };
    stream.on("data", ({ message }) => {
      switch (message?.$case) {
        case "attached":
          for (const { leaseId, token } of message.value.held) byName.set(leaseId, leases.get(token));
          break;
        case "leases":
          for (const lease of message.value.leases) {
            byName.set(lease.leaseId, lease);
            leases.set(lease.token, lease);
          }
          break;
        case "settled":
          for (const leaseId of message.value.recorded) settled(byName, reports, leaseId);
          for (const { leaseId, error } of message.value.refused) {
            const lease = byName.get(leaseId);
            if (lease !== undefined) note("refused", process.pid, lease.jobId, lease.attempt, error?.reason);
          }
      }
    });
    return stream;
  };

  function settled(byName, reports, leaseId) {
    const lease = byName.get(leaseId);
    if (lease === undefined) return;
    const report = reports.get(leaseId);
    leases.delete(lease.token);
    byName.delete(leaseId);
    reports.delete(leaseId);
    note(
      "settled",
      process.pid,
      lease.jobId,
      lease.attempt,
      report.$case,
      isFinal(lease, report) ? "final" : "open",
    );
  }
}

/** Whether nothing may run after this report, whatever else becomes of the job. */
function isFinal({ failures, maxAttempts }, report) {
  switch (report.$case) {
    case "success":
    case "cancelled":
      return true;
    case "failure":
      return report.value.reason === FailureReason.FAILURE_REASON_PERMANENT || failures + 1 >= maxAttempts;
    default:
      return false;
  }
}
