import type { Message } from "../../support/stranger.js";
import { day, type InvalidRequests, many } from "./rows.js";

export const job = (fields: Message) => ({ job: { task: "t", ...fields } });

export const invalid: InvalidRequests = {
  "JobService/Submit": [
    ["no job", {}, ["job"]],
    ["no task", job({ task: "" }), ["job.task"]],
    ["bad characters", job({ task: "a b", key: "ключ", queue: "a>" }), ["job.task", "job.key", "job.queue"]],
    ["a queue set to nothing", job({ queue: "" }), ["job.queue"]],
    ["priority 10", job({ priority: 10 }), ["job.priority"]],
    ["a negative delay", job({ delay: { seconds: -1 } }), ["job.delay"]],
    ["a broken duration", job({ delay: { seconds: 1, nanos: -1 } }), ["job.delay"]],
    ["a delay beyond ten years", job({ delay: { seconds: 3_651 * day } }), ["job.delay"]],
    ["both delay and run_at", job({ delay: { seconds: 1 }, runAt: { seconds: 2e9 } }), ["job.run_at"]],
    ["run_at beyond 2200", job({ runAt: { seconds: 7_258_118_400 } }), ["job.run_at"]],
    ["a broken time", job({ runAt: { seconds: 1e15 } }), ["job.run_at"]],
    ["start_by before it is due", job({ delay: { seconds: 60 }, startBy: { seconds: 5 } }), ["job.start_by"]],
    ["a payload too large", job({ payload: { data: Buffer.alloc(524_289) } }), ["job.payload.data"]],
    ["a content type that is none", job({ payload: { contentType: "\r\n" } }), ["job.payload.content_type"]],
    ["attempts 0", job({ retry: { maxAttempts: 0 } }), ["job.retry.max_attempts"]],
    [
      "a cap below the first delay",
      job({ retry: { initialDelay: { seconds: 9 }, maxDelay: { seconds: 1 } } }),
      ["job.retry.max_delay"],
    ],
    ["a factor that is no number", job({ retry: { factor: Number.NaN } }), ["job.retry.factor"]],
    [
      "soft above hard",
      job({ softTimeLimit: { seconds: 2 }, hardTimeLimit: { seconds: 1 } }),
      ["job.soft_time_limit"],
    ],
    ["a retention of a minute", job({ resultRetention: { seconds: 60 } }), ["job.result_retention"]],
    [
      "17 labels",
      job({ labels: Object.fromEntries(many(17, 0).map((_, i) => [`l${i}`, ""])) }),
      ["job.labels"],
    ],
    ["headers too large", job({ headers: { h: "x".repeat(9_000) } }), ["job.headers"]],
    ["all wrong at once", job({ priority: 11, delay: { seconds: -1 } }), ["job.priority", "job.delay"]],
    ["a concurrency key that is no name", job({ concurrencyKey: "a b" }), ["job.concurrency_key"]],
    [
      "a unique key that is none, for an instant",
      job({ unique: { key: "a b", period: { nanos: 1 } } }),
      ["job.unique.key", "job.unique.period"],
    ],
    [
      "a debounce without a key, together with a delay and a unique key",
      job({ delay: { seconds: 1 }, unique: { key: "u" }, debounce: { wait: { seconds: 1 } } }),
      ["job.debounce", "job.delay", "job.unique"],
    ],
    ["a debounce without a wait", job({ key: "k", debounce: {} }), ["job.debounce.wait"]],
    [
      "a longest wait below the wait",
      job({ key: "k", debounce: { wait: { seconds: 2 }, maxWait: { seconds: 1 } } }),
      ["job.debounce.max_wait"],
    ],
    ["an unknown policy", { ...job({}), onConflict: 9 }, ["on_conflict"]],
  ],
  "JobService/SubmitBatch": [
    ["no jobs", {}, ["jobs"]],
    ["1,001 jobs", { jobs: many(1_001, { task: "t" }) }, ["jobs"]],
    ["an unknown policy", { jobs: [{ task: "t" }], onConflict: 9 }, ["on_conflict"]],
  ],
  "JobService/Status": [
    ["no id", {}, ["id"]],
    ["a malformed id", { id: "no-tilde" }, ["id"]],
    ["an id with a wildcard", { id: "t~*" }, ["id"]],
  ],
  "JobService/StatusBatch": [
    ["no ids", {}, ["ids"]],
    ["1,001 ids", { ids: many(1_001) }, ["ids"]],
  ],
  "JobService/Wait": [
    ["no ids", {}, ["ids"]],
    ["a malformed id", { ids: ["t~k", "~"] }, ["ids[1]"]],
    ["61 seconds", { ids: ["t~k"], timeout: { seconds: 61 } }, ["timeout"]],
    ["an unknown mode", { ids: ["t~k"], mode: 7 }, ["mode"]],
  ],
  "JobService/Watch": [["a malformed id", { id: "x" }, ["id"]]],
  "JobService/List": [
    ["1,001 a page", { pageSize: 1_001 }, ["page_size"]],
    ["an unknown state", { state: 99 }, ["state"]],
    ["bad names", { task: "a.*", queue: " " }, ["task", "queue"]],
    ["a made-up page token", { pageToken: "made up" }, ["page_token"]],
  ],
  "JobService/Cancel": [
    ["a malformed id", { id: "x" }, ["id"]],
    ["a reason too long", { id: "t~k", reason: "x".repeat(1_025) }, ["reason"]],
  ],
  "JobService/Redrive": [["a malformed id", { id: "x~" }, ["id"]]],
  "JobService/Move": [
    ["a malformed id", { id: "x", queue: "q" }, ["id"]],
    ["to nowhere", { id: "t~k" }, ["queue"]],
    ["to no queue", { id: "t~k", queue: "a b", priority: 10 }, ["queue", "priority"]],
  ],
  "JobService/Explain": [["a malformed id", { id: "x" }, ["id"]]],
};
