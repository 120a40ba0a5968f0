// `drover dev`: a broker with everything embedded and a log to read, for a laptop. The broker is a package of its own;
// this starts it and passes on how it ended.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { examples } from "./examples.js";
import { Exit, exits } from "./exit.js";
import type { Io } from "./io.js";

interface Options {
  port: string;
  dataDir: string;
}

export function addDev(program: Command, io: Io): void {
  program
    .command("dev")
    .description(
      "Run a broker here with its own nats-server, until Ctrl-C. Needs the package @drover/broker.",
    )
    .option("--port <port>", "of the API", "50051")
    .option("--data-dir <folder>", "where jobs are kept", ".drover/data")
    .addHelpText("after", examples("dev", "dev --port 50061 --data-dir /tmp/jobs"))
    .action(async (options: Options) => {
      const code = await run(io, options);
      if (code !== 0) throw new Exit(exits.failed, `the broker ended with ${code}`);
    });
}

function run(io: Io, { port, dataDir }: Options): Promise<number | string> {
  const env = {
    ...io.env,
    DROVER_GRPC_PORT: port,
    DROVER_DATA_DIR: dataDir,
    DROVER_LOG_FORMAT: io.env.DROVER_LOG_FORMAT ?? "text",
  };
  const child = spawn(process.execPath, ["--max-semi-space-size=32", brokerFile()], {
    env,
    stdio: "inherit",
  });
  const stop = () => {
    // A terminal's Ctrl-C has reached the broker too, and a second signal would end it at once.
    if (io.interrupted.reason !== "SIGINT" || io.in.isTTY !== true) child.kill("SIGTERM");
  };
  io.interrupted.addEventListener("abort", stop, { once: true });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "an unknown end"));
  });
}

function brokerFile(): string {
  const require = createRequire(import.meta.url);
  try {
    const manifest = require.resolve("@drover/broker/package.json");
    return join(dirname(manifest), "dist/main.js");
  } catch {
    throw new Exit(exits.failed, "there is no broker here: npm install @drover/broker");
  }
}
