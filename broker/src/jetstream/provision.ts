// Makes the streams of a namespace, or makes sure that those which are there are the ones this broker can work with.
// Whatever stands in the way is said in one line, with what to do about it. Brokers that start together converge: the
// first one's streams, and its token key, are the ones of all.

import { randomBytes } from "node:crypto";
import type { Log } from "../app/telemetry.js";
import { errCodes, type JsApi, JsApiError, type StreamConfig } from "./api.js";
import type { Connection } from "./connect.js";
import { missingRights } from "./rights.js";
import { messageOf, StartupError } from "./startup-error.js";
import {
  cronStream,
  metadataKeys,
  misfits,
  type NamespaceStreams,
  shardStream,
  storageFormat,
} from "./stream-config.js";

export interface ProvisionOptions extends NamespaceStreams {
  connection: Connection;
  api: JsApi;
  log: Log;
  /** How long a cluster may take to get ready, ms. */
  within?: number;
}

export interface Provisioned {
  shards: number;
  /** Signs lease tokens; 32 bytes, the same for all brokers of the namespace. */
  tokenKey: Buffer;
  /** By shard. */
  streams: string[];
  /** Of schedules and their firings. */
  cron: string;
  /** What the streams really have; more than asked for where they were made with more. */
  replicas: number;
}

const retryEvery = 250;

/** @throws StartupError */
export async function provision(options: ProvisionOptions): Promise<Provisioned> {
  const { namespace, shards, replicas } = options;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(namespace)) {
    throw new StartupError(`namespace "${namespace}" is not possible: 1 to 64 of A-Z, a-z, 0-9, _ and - are`);
  }
  if (!Number.isInteger(shards) || shards < 1 || shards > 1_000) {
    throw new StartupError(`${shards} shards are not possible: 1 to 1000 are`);
  }
  if (![1, 3, 5].includes(replicas))
    throw new StartupError(`${replicas} replicas are not possible: 1, 3 or 5 are`);

  const deadline = performance.now() + (options.within ?? 30_000);
  await jetStreamIsThere(options, deadline);
  // Shard 0 decides how many shards there are and which token key is used, so it comes first and alone.
  const key = randomBytes(32).toString("base64url");
  const first = await ensure(options, shardStream(options, 0, key), deadline);
  const others = [];
  for (let shard = 1; shard < shards; shard += 1) others.push(shardStream(options, shard));
  others.push(cronStream(options));
  const rest = await Promise.all(others.map((wanted) => ensure(options, wanted, deadline)));

  const streams = [first, ...rest.slice(0, -1)].map(({ name }) => name);
  const cron = rest.at(-1)?.name ?? "";
  await checkRights(options, [...streams, cron]);
  const have = [first, ...rest].map(({ num_replicas }) => num_replicas);
  return { shards, tokenKey: tokenKeyOf(first), streams, cron, replicas: Math.min(...have) };
}

async function jetStreamIsThere({ api }: ProvisionOptions, deadline: number): Promise<void> {
  await patiently(
    deadline,
    () => api.account(),
    (error) => {
      if (
        error.errCode === errCodes.notEnabled ||
        error.errCode === errCodes.notEnabledForAccount ||
        error.code === 503
      ) {
        return (
          "JetStream is switched off on the nats-server, or for the account of the broker's user: switch it on " +
          "(`jetstream {}` in its configuration)"
        );
      }
      return sayDenied(error) ?? `JetStream does not answer: ${error.description}`;
    },
  );
}

/** The stream's configuration, made now or checked. */
async function ensure(
  options: ProvisionOptions,
  wanted: StreamConfig,
  deadline: number,
): Promise<StreamConfig> {
  const { api, log } = options;
  const { name } = wanted;
  const explained = (error: JsApiError) => explain(options, wanted, error);
  // One that was made by another broker a moment ago may not be there for reading yet, so both are tried in turns.
  const actual = await patiently(
    deadline,
    async () => {
      try {
        return (await api.stream(name)).config;
      } catch (error) {
        if (!(error instanceof JsApiError) || error.errCode !== errCodes.streamNotFound) throw error;
      }
      const { config } = await api.request<{ config: StreamConfig }>(`STREAM.CREATE.${name}`, wanted);
      log.info({ stream: name, replicas: config.num_replicas }, "stream made");
      return config;
    },
    explained,
    (error) => error.errCode === errCodes.streamNameInUse,
  );
  check(options, wanted, actual);
  if (actual.num_replicas >= wanted.num_replicas) {
    if (actual.num_replicas > wanted.num_replicas) {
      log.info(
        { stream: name, replicas: actual.num_replicas },
        "stream has more replicas than asked for and keeps them",
      );
    }
    return actual;
  }
  // Only ever up: two brokers that were told different numbers would otherwise move the streams back and forth.
  const more = { ...actual, num_replicas: wanted.num_replicas };
  const update = () => api.request<{ config: StreamConfig }>(`STREAM.UPDATE.${name}`, more);
  const { config } = await patiently(deadline, update, explained);
  log.info({ stream: name, from: actual.num_replicas, to: config.num_replicas }, "stream gets more replicas");
  return config;
}

/** @throws StartupError when a stream is not one that this broker can work with */
function check({ namespace, shards }: ProvisionOptions, wanted: StreamConfig, actual: StreamConfig): void {
  const { name } = actual;
  const format = actual.metadata?.[metadataKeys.format];
  if (format === undefined) {
    throw new StartupError(
      `stream ${name} was not made by Drover (no ${metadataKeys.format} in its metadata): use another namespace, or remove it`,
    );
  }
  if (format !== storageFormat) {
    throw new StartupError(
      `stream ${name} has storage format ${format} and this broker knows format ${storageFormat}: run the version of ` +
        "Drover that made it, or use another namespace",
    );
  }
  const made = actual.metadata?.[metadataKeys.shards];
  if (made !== String(shards)) {
    throw new StartupError(
      `namespace ${namespace} was made with ${made ?? "an unknown number of"} shards, not ${shards}, and that is never ` +
        `changed: set DROVER_SHARDS=${made ?? "?"}, or use another namespace`,
    );
  }
  const wrong = misfits(wanted, actual);
  if (wrong.length > 0) {
    throw new StartupError(
      `stream ${name} cannot be used: ${wrong.join("; ")}: mend it with \`nats stream edit\`, or use another namespace`,
    );
  }
}

/** @throws StartupError */
function tokenKeyOf(config: StreamConfig): Buffer {
  const key = Buffer.from(config.metadata?.[metadataKeys.tokenKey] ?? "", "base64url");
  if (key.length === 32) return key;
  throw new StartupError(
    `stream ${config.name} has no usable ${metadataKeys.tokenKey} in its metadata: put 32 random bytes there in ` +
      "base64url (leases that are out will be lost)",
  );
}

async function checkRights(
  { connection, namespace, shards }: ProvisionOptions,
  streams: string[],
): Promise<void> {
  const stored = [];
  for (let shard = 0; shard < shards; shard += 1) stored.push(`drover.${namespace}.${shard}`);
  let missing: string[];
  try {
    const scheduled = [`drover.${namespace}.fire`, `drover.${namespace}.cron`];
    missing = await missingRights(connection, namespace, streams, [...stored, ...scheduled]);
  } catch (error) {
    throw new StartupError(`the connection to NATS was lost while the broker started: ${messageOf(error)}`);
  }
  if (missing.length > 0) {
    throw new StartupError(`the NATS user of the broker lacks rights: it may not ${missing.join(", nor ")}`);
  }
}

/** Repeats what went unanswered, or what `again` says, until the deadline. @throws StartupError */
async function patiently<T>(
  deadline: number,
  attempt: () => Promise<T>,
  explained: (error: JsApiError) => string,
  again: (error: JsApiError) => boolean = () => false,
): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof JsApiError)) throw error;
      const mayPass = error.unanswered || error.errCode === errCodes.clusterNotAvailable || again(error);
      if (!mayPass || performance.now() > deadline) throw new StartupError(explained(error));
    }
    await new Promise((resolve) => setTimeout(resolve, retryEvery));
  }
}

function sayDenied(error: JsApiError): string | undefined {
  return error.denied
    ? `the NATS user of the broker lacks rights: it may not use $JS.API.${error.request}`
    : undefined;
}

/** Why a stream could not be had, and what to do. */
function explain(
  { namespace, replicas }: ProvisionOptions,
  { name, subjects }: StreamConfig,
  error: JsApiError,
): string {
  const denied = sayDenied(error);
  if (denied !== undefined) return denied;
  const said = `stream ${name} cannot be had: ${error.description}`;
  const { errCode } = error;
  if (errCode === errCodes.subjectsOverlap) {
    return `${said}: another stream holds a part of ${(subjects ?? []).join(", ")}: remove it, or use another namespace than ${namespace}`;
  }
  if (replicas > 1 && (errCode === errCodes.replicasNeedCluster || errCode === errCodes.noPeers)) {
    return `${said}: DROVER_REPLICAS=${replicas} needs a cluster of ${replicas} nats-servers with JetStream and room`;
  }
  const noRoom: number[] = [
    errCodes.storageExceeded,
    errCodes.insufficientResources,
    errCodes.accountResourcesExceeded,
    errCodes.memoryExceeded,
  ];
  if (noRoom.includes(errCode)) return `${said}: give the account or the server more JetStream storage`;
  return error.errCode === 0 ? said : `${said} (${errCode})`;
}
