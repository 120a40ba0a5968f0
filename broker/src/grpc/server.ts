// The gRPC server: binds, serves, and stops without dropping what it has begun.

import { readFileSync } from "node:fs";
import {
  FlowServiceService,
  InspectServiceService,
  JobServiceService,
  QueueServiceService,
  ScheduleServiceService,
  WorkerServiceService,
} from "@drover/proto/v1";
import { Server, ServerCredentials, type ServerOptions } from "@grpc/grpc-js";
import type { BrokerApi } from "../app/api.js";
import type { Clock } from "../app/ports.js";
import type { Log, Telemetry } from "../app/telemetry.js";
import { flowLimits } from "../core/limits.js";
import { Calls, guarded } from "./calls.js";
import { flowService } from "./flow-service.js";
import { Health } from "./health.js";
import { identify } from "./identity.js";
import { inspectService } from "./inspect-service.js";
import { jobService } from "./job-service.js";
import { limitMethods } from "./limit-methods.js";
import { queueService } from "./queue-service.js";
import { addReflection } from "./reflection.js";
import { routeMethods } from "./route-methods.js";
import { scheduleService } from "./schedule-service.js";
import { widen } from "./window.js";
import { workerService } from "./worker-service.js";

export interface GrpcParts {
  api: BrokerApi;
  /** The nats-server's time: delays count from it. */
  clock: Clock;
  telemetry: Telemetry;
  log: Log;
}

export interface GrpcOptions {
  host: string;
  /** 0 = any that is free. */
  port: number;
  namespace: string;
  /** Files; undefined = plain text. With `ca` callers must show a certificate. */
  tls: { cert: string; key: string; ca: string | undefined } | undefined;
}

export interface GrpcServer {
  /** The port it listens on. */
  readonly port: number;
  /** Takes no more calls, ends long polls and watches, waits for the rest for `timeout` ms, then drops them. */
  stop(timeout: number): Promise<void>;
}

const options: ServerOptions = {
  // A whole flow; calls.ts holds every other method to less.
  "grpc.max_receive_message_length": flowLimits.submit + 64 * 1024,
  "grpc.max_send_message_length": -1,
  "grpc.max_concurrent_streams": 10_000,
  // Finds callers that went without a word; workers have pings of their own.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.enable_channelz": 0,
};
const healthEvery = 500;
/** What the last answers get to leave the process. */
const flush = 250;

const services = {
  "drover.v1.JobService": JobServiceService,
  "drover.v1.FlowService": FlowServiceService,
  "drover.v1.ScheduleService": ScheduleServiceService,
  "drover.v1.WorkerService": WorkerServiceService,
  "drover.v1.QueueService": QueueServiceService,
  "drover.v1.InspectService": InspectServiceService,
};

/** @throws Error when the address cannot be bound or a TLS file not be read */
export async function startGrpc(parts: GrpcParts, at: GrpcOptions): Promise<GrpcServer> {
  const { api, clock, telemetry, log } = parts;
  const calls = new Calls(telemetry, log);
  const health = new Health(["drover.v1", ...Object.keys(services)]);
  const server = new Server({ ...options, interceptors: [identify(at.namespace)] });
  server.addService(guarded(JobServiceService), jobService(api.jobs, api.routes, clock, calls));
  server.addService(guarded(WorkerServiceService), workerService(api.workers, clock, calls));
  server.addService(guarded(ScheduleServiceService), scheduleService(api.schedules, calls));
  server.addService(guarded(FlowServiceService), flowService(api.flows, api.routes, clock, calls));
  server.addService(guarded(QueueServiceService), {
    ...queueService(api.queues, calls),
    ...limitMethods(api.queues, api.tasks, calls),
    ...routeMethods(api.routes, clock, calls),
  });
  server.addService(guarded(InspectServiceService), inspectService(api.inspect, calls));
  health.addTo(server);
  addReflection(server);

  const port = await bind(server, at);
  widen(server);
  const look = () => health.set(!calls.stopping && api.readiness().ready);
  look();
  const timer = setInterval(look, healthEvery);
  return {
    port,
    stop: async (timeout) => {
      clearInterval(timer);
      health.set(false);
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      const left = await within(timeout, calls.stop());
      if (!left) log.warn({ timeout }, "calls were still open when the time to stop was over");
      await within(flush, closed);
      server.forceShutdown();
    },
  };
}

async function bind(server: Server, { host, port, tls }: GrpcOptions): Promise<number> {
  const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const credentials =
    tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          tls.ca === undefined ? null : readFileSync(tls.ca),
          [{ cert_chain: readFileSync(tls.cert), private_key: readFileSync(tls.key) }],
          tls.ca !== undefined,
        );
  return await new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
}

/** Whether the promise settled within `ms`. */
async function within(ms: number, promise: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const done = await Promise.race([promise.then(() => true), over]);
  clearTimeout(timer);
  return done;
}
