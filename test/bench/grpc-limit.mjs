// What gRPC and the SDK do without a broker behind them: the same client, against a server that says yes to every job and
// stores nothing. It is a process of its own, as a broker is; started with `serve`, this file is that server.
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Client } from "@drover/client";
import { JobServiceService } from "@drover/proto/v1";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { inBatches, inFlight, noops, rate } from "./load.mjs";
import { Running } from "./processes.mjs";

export async function grpcLimit(jobs) {
  const server = new Running(process.execPath, [fileURLToPath(import.meta.url), "serve"], {});
  const port = (await server.says("port ")).split(" ")[1];
  const client = new Client({ address: `127.0.0.1:${port}`, timeout: 60_000 });
  try {
    await inFlight(client, 64, 3_000);
    return {
      limit_grpc_inflight1000_per_s: await rate(jobs, () => inFlight(client, 1_000, jobs)),
      limit_grpc_batch500_per_s: await rate(jobs, () => inBatches(client, jobs, noops)),
    };
  } finally {
    client.close();
    await server.stop();
  }
}

async function serve() {
  const answer = ({ task, key }) => ({
    id: `${task}~${key}`,
    deduplicated: false,
    state: 1,
    replaced: false,
  });
  const server = new Server({ "grpc.max_receive_message_length": 16 * 2 ** 20 });
  server.addService(JobServiceService, {
    submit: ({ request }, answered) => answered(null, answer(request.job)),
    submitBatch: ({ request }, answered) => answered(null, { results: request.jobs.map(answer) }),
  });
  const port = await new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  console.log(`port ${port}`);
  await once(process, "SIGTERM");
  server.forceShutdown();
}

if (process.argv[2] === "serve") await serve();
