#!/usr/bin/env -S node --max-semi-space-size=32
// The process: settings from the environment, signals, exit codes. 0 = stopped in good order, 1 = could not start or
// broke, 2 = settings that do not fit.

import { parseArgs } from "node:util";
import type { Log } from "./app/telemetry.js";
import { startBroker } from "./broker.js";
import { type Config, ConfigError, readConfig, settingsHelp } from "./config.js";
import { backUp, restore } from "./jetstream/backup.js";
import { StartupError } from "./jetstream/startup-error.js";
import { checkHealth } from "./ops/health-check.js";
import { collectWhenIdle } from "./ops/idle-collector.js";
import { createLogger } from "./ops/logger.js";
import { ProcessError, startProcesses } from "./processes.js";
import { storeOptions } from "./store-options.js";
import { supervisedBy } from "./supervised.js";
import { version } from "./version.js";

const help = `drover-broker ${version}: the Drover task broker

usage: drover-broker           run a broker
         --log-level LEVEL     ... and log from this level on, whatever DROVER_LOG_LEVEL says
         --log-format FORMAT   ... in this format, whatever DROVER_LOG_FORMAT says
       drover-broker backup FILE    write all that is stored to a file; brokers on the same NATS may run
       drover-broker restore FILE   put it into a namespace that is empty; no broker may run
       drover-broker health    whether the one with these settings can serve: exits with 0 or 1
       drover-broker --help | --version

It is configured by its environment:

${settingsHelp()}

With no DROVER_NATS_URL it runs a nats-server of its own and keeps its data in DROVER_DATA_DIR.
Exit codes: 0 stopped in good order, 1 could not start or broke, 2 settings that do not fit.
`;

async function main(args: readonly string[]): Promise<void> {
  const { values: flags, positionals } = flagsOf(args);
  if (flags.help === true) {
    process.stdout.write(help);
    return;
  }
  if (flags.version === true) {
    process.stdout.write(`${version}\n`);
    return;
  }
  const [command = "run", file, ...more] = positionals;
  const copy = command === "backup" ? backUp : command === "restore" ? restore : undefined;
  const known = copy !== undefined || command === "health" || command === "run";
  if (!known || more.length > 0 || (copy === undefined) !== (file === undefined)) {
    throw new ConfigError([`${positionals.join(" ")}: no such command; see --help`]);
  }
  const config = readConfig({
    ...process.env,
    DROVER_LOG_LEVEL: flags["log-level"] ?? process.env.DROVER_LOG_LEVEL,
    DROVER_LOG_FORMAT: flags["log-format"] ?? process.env.DROVER_LOG_FORMAT,
  });
  if (command === "health") {
    const problem = await checkHealth({ host: config.httpHost, port: config.httpPort });
    process.stdout.write(`${problem ?? "ready"}\n`);
    process.exitCode = problem === undefined ? 0 : 1;
    return;
  }
  const log = createLogger({ level: config.logLevel, format: config.logFormat });
  if (copy !== undefined && file !== undefined) {
    log.info({ file, ...(await copy(storeOptions(config), file, log)) }, `${command} done`);
    return;
  }
  if (config.processes > 1) await runProcesses(config, log);
  else await runOne(config, log, flags.share);
}

async function runOne(config: Config, log: Log, share: string | undefined): Promise<void> {
  const supervised = supervisedBy(share);
  const broker = await startBroker(config, log, undefined, supervised?.own);
  const { name, grpcPort, httpPort } = broker;
  collectWhenIdle();
  const stop = stopping(log, broker);
  if (supervised === undefined) {
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  } else {
    // A terminal tells every process of a group: the supervisor decides.
    process.on("SIGINT", () => undefined);
    process.once("SIGTERM", stop);
    supervised.onStop(() => stop("SIGTERM"));
    supervised.ready({ grpcPort, httpPort });
  }
  // Last: whoever waits for it may stop the broker the moment it stands there.
  if (supervised === undefined) log.info({ name, grpcPort, httpPort, version }, "ready");
  else log.info({ name, pid: process.pid }, "a broker process is ready");
}

async function runProcesses(config: Config, log: Log): Promise<void> {
  const all = await startProcesses(config, log);
  const { name, grpcPort, httpPort } = all;
  const stop = stopping(log, { stop: () => all.stop(), kill: () => all.kill() });
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  void all.broken.then(async (why) => {
    log.error({ why }, "the broker processes cannot be kept up");
    await all.stop();
    process.exit(1);
  });
  log.info({ name, grpcPort, httpPort, version, processes: config.processes }, "ready");
}

/** What a signal does. */
function stopping(
  log: Log,
  running: { stop(): Promise<void>; kill?(): void },
): (signal: NodeJS.Signals) => void {
  let asked = false;
  return (signal) => {
    // A second signal means at once: the store loses nothing by it.
    if (asked) {
      running.kill?.();
      process.exit(1);
    }
    asked = true;
    log.info({ signal }, "stopping");
    running.stop().then(
      () => {
        log.info({}, "stopped");
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, "stopping failed");
        process.exit(1);
      },
    );
  };
}

/** @throws ConfigError */
function flagsOf(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        version: { type: "boolean" },
        "log-level": { type: "string" },
        "log-format": { type: "string" },
        // What the supervisor of several processes gives to each.
        share: { type: "string" },
      },
    });
  } catch (error) {
    throw new ConfigError([`${(error as Error).message}; see --help`]);
  }
}

process.on("unhandledRejection", (error) => {
  // Every promise has an owner; one that has none is a bug, and a broker that goes on with it may hold on to leases.
  console.error("a bug: unhandled rejection", error);
  process.exit(1);
});

main(process.argv.slice(2)).catch((error: unknown) => {
  // The process itself has said why.
  if (error instanceof ProcessError) process.exit(error.code);
  if (error instanceof ConfigError || error instanceof StartupError) {
    process.stderr.write(`drover-broker: ${error.message}\n`);
    process.exit(error instanceof ConfigError ? 2 : 1);
  }
  console.error(error);
  process.exit(1);
});
