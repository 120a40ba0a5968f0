import type { Message } from "../../support/stranger.js";
import { type InvalidRequests, many } from "./rows.js";

const schedule = (fields: Message): Message => ({
  name: "s",
  cron: "* * * * *",
  job: { task: "t" },
  ...fields,
});
export const put = (fields: Message): Message => ({ owner: "o", schedules: [schedule(fields)] });

export const invalid: InvalidRequests = {
  "ScheduleService/Put": [
    ["no owner", { schedules: [schedule({})] }, ["owner"]],
    ["no name and no rule", put({ name: "", cron: undefined }), ["schedules[0].name", "schedules[0].rule"]],
    ["no job", put({ job: undefined }), ["schedules[0].job"]],
    ["30 February", put({ cron: "0 0 30 2 *" }), ["schedules[0].cron"]],
    ["an unknown zone", put({ timeZone: "Mars/Olympus" }), ["schedules[0].time_zone"]],
    [
      "an interval under a second",
      put({ cron: undefined, interval: { nanos: 999_000_000 } }),
      ["schedules[0].interval"],
    ],
    [
      "a job with a key, a time and a bad task",
      put({ job: { task: "a b", key: "k", runAt: { seconds: 1 } } }),
      ["schedules[0].job.key", "schedules[0].job.run_at", "schedules[0].job.task"],
    ],
    ["unknown policies", put({ overlap: 9, misfire: 9 }), ["schedules[0].overlap", "schedules[0].misfire"]],
    [
      "the end before the start",
      put({ startAt: { seconds: 9 }, endAt: { seconds: 8 } }),
      ["schedules[0].end_at"],
    ],
    ["more jitter than an hour", put({ jitter: { seconds: 3_601 } }), ["schedules[0].jitter"]],
    ["1,001 to catch up", put({ maxCatchUp: 1_001 }), ["schedules[0].max_catch_up"]],
    ["a name twice", { owner: "o", schedules: [schedule({}), schedule({})] }, ["schedules[1].name"]],
    [
      "401 schedules",
      { owner: "o", schedules: many(401).map((_, i) => schedule({ name: `s${i}` })) },
      ["schedules"],
    ],
  ],
  "ScheduleService/Get": [["no name", {}, ["name"]]],
  "ScheduleService/List": [["too large a page", { pageSize: 1_001 }, ["page_size"]]],
  "ScheduleService/Delete": [["a name too long", { name: "n".repeat(101) }, ["name"]]],
  "ScheduleService/Pause": [["no name", {}, ["name"]]],
  "ScheduleService/Resume": [["no name", {}, ["name"]]],
  "ScheduleService/Trigger": [["no name", {}, ["name"]]],
  "ScheduleService/Preview": [
    ["nothing to preview", {}, ["schedule"]],
    ["1,001 times", { name: "n", count: 1_001 }, ["count"]],
  ],
};
