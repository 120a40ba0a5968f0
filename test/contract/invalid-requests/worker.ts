import { type InvalidRequests, many } from "./rows.js";

const leased = { worker: "w", tasks: ["t"] };

export const invalid: InvalidRequests = {
  "WorkerService/Lease": [
    ["nobody", { ...leased, worker: "" }, ["worker"]],
    ["a worker without tasks", { ...leased, tasks: [] }, ["tasks"]],
    ["bad names", { ...leased, tasks: ["t", "a b"], queues: [""] }, ["tasks[1]", "queues[0]"]],
    ["1,001 jobs", { ...leased, maxJobs: 1_001 }, ["max_jobs"]],
    ["a wait of 61 s", { ...leased, wait: { seconds: 61 } }, ["wait"]],
    ["a lease of nothing", { ...leased, leaseDuration: {} }, ["lease_duration"]],
  ],
  "WorkerService/Ack": [
    ["no outcomes", {}, ["outcomes"]],
    ["1,001 outcomes", { outcomes: many(1_001, {}) }, ["outcomes"]],
  ],
  "WorkerService/Extend": [["no leases", {}, ["leases"]]],
};
