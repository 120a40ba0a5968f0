// drover.v1.InspectService.

import type { InspectServiceServer } from "@drover/proto/v1";
import type { InspectApi } from "../app/api.js";
import { Checks } from "../core/check.js";
import { sizes, times } from "../core/limits.js";
import type { Calls } from "./calls.js";
import { toDuration, toTimestamp, toTimestampOrUnset } from "./time.js";

const activeJobs = { unset: 1_000, most: 10_000 };

export function inspectService(inspect: InspectApi, calls: Calls): InspectServiceServer {
  return {
    workers: calls.unary("InspectService/Workers", async () => {
      const { workers, silentBrokers } = await inspect.workers();
      return {
        workers: workers.map((worker) => ({ ...worker, attachedAt: toTimestamp(worker.attachedAt) })),
        silentBrokers,
      };
    }),

    active: calls.unary("InspectService/Active", async (request) => {
      const limit = request.limit || activeJobs.unset;
      const checks = new Checks();
      checks.integer("limit", limit, 1, activeJobs.most);
      checks.done();
      const { jobs, truncated, silentBrokers } = await inspect.active(limit);
      return {
        jobs: jobs.map(({ id, startedAt, ...job }) => ({
          ...job,
          jobId: id,
          startedAt: toTimestampOrUnset(startedAt),
        })),
        truncated,
        silentBrokers,
      };
    }),

    registered: calls.unary("InspectService/Registered", () => inspect.registered()),

    serverInfo: calls.unary("InspectService/ServerInfo", async () => {
      const { now, startedAt, maxLanes, ...server } = await inspect.server();
      return {
        ...server,
        startedAt: toTimestamp(startedAt),
        serverTime: toTimestamp(now),
        limits: {
          payload: sizes.payload,
          result: sizes.result,
          batch: sizes.batch,
          lanes: maxLanes,
          idempotencyWindow: toDuration(times.idempotencyWindow),
        },
      };
    }),
  };
}
