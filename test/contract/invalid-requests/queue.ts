import type { Message } from "../../support/stranger.js";
import { job } from "./job.js";
import { day, type InvalidRequests, many } from "./rows.js";

const route = (fields: Message) => ({ name: "a", task: "*", queue: "q", ...fields });
export const routes = (...all: Message[]) => ({ owner: "o", routes: all.map(route) });

export const limits = (fields: Message): Message => ({ queue: "q", limits: fields });

export const invalid: InvalidRequests = {
  "QueueService/Get": [["no name", {}, ["queue"]]],
  "QueueService/Pause": [["a bad name", { queue: "a b" }, ["queue"]]],
  "QueueService/Resume": [["a bad name", { queue: "a/b" }, ["queue"]]],
  "QueueService/Purge": [["bad names", { queue: ">", task: "*" }, ["queue", "task"]]],
  "QueueService/PutRoutes": [
    ["nobody", { routes: [route({})] }, ["owner"]],
    ["no effect", routes({ queue: undefined }), ["routes[0].queue"]],
    ["a bad glob", routes({ task: "mail.[a-z]+" }), ["routes[0].task"]],
    [
      "bad names",
      routes({ name: "a b", queue: "", labels: { "*": "x" } }),
      ["routes[0].name", "routes[0].labels", "routes[0].queue"],
    ],
    ["priority 10", routes({ priority: 10 }), ["routes[0].priority"]],
    ["one behind another that takes all", routes({}, { name: "b" }), ["routes[1].task"]],
    [
      "1,001 routes",
      routes(...many(1_001, {}).map((_, i) => ({ name: `r${i}`, task: `t${i}` }))),
      ["routes"],
    ],
  ],
  "QueueService/Update": [
    ["no name", { limits: {} }, ["queue"]],
    ["nothing to change", { queue: "q" }, ["limits"]],
    ["no period", limits({ rate: { count: 10 } }), ["limits.rate.period"]],
    ["10/fortnight", limits({ rate: { count: 10, period: { seconds: 14 * day } } }), ["limits.rate.period"]],
    [
      "a rate of nothing, and none at a time",
      limits({ rate: { period: { seconds: 1 } }, concurrency: 0, concurrencyPerKey: 10_001 }),
      ["limits.rate.count", "limits.concurrency", "limits.concurrency_per_key"],
    ],
    [
      "a burst above the count",
      limits({ rate: { count: 3, period: { seconds: 1 }, burst: 4 } }),
      ["limits.rate.burst"],
    ],
    [
      "records of a second",
      { queue: "q", retention: { succeeded: { seconds: 1 }, succeededCount: 0 } },
      ["retention.succeeded_count", "retention.succeeded"],
    ],
  ],
  "QueueService/GetTask": [["no name", {}, ["task"]]],
  "QueueService/UpdateTask": [
    ["nothing at all", {}, ["task", "limits"]],
    [
      "a period of a nanosecond",
      { task: "t", limits: { rate: { count: 1, period: { nanos: 1 } } } },
      ["limits.rate.period"],
    ],
  ],
  "QueueService/TestRoute": [
    ["no job", {}, ["job"]],
    ["a job that would be refused", job({ priority: 10 }), ["job.priority"]],
  ],
};
