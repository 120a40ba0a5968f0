// Every setting of the broker, in one table: name, default, what it takes, what it is for. The only reader of the
// environment; all mistakes are reported at once, and a name that nobody knows is one of them.

import { nearest } from "./core/nearest.js";
import {
  brokerName,
  duration,
  endpoint,
  file,
  integer,
  type Kind,
  Misfit,
  name,
  oneOf,
  optional,
  port,
  replicas,
  share,
  sync,
  text,
  urls,
} from "./setting-kinds.js";

interface Setting<T> extends Kind<T> {
  name: string;
  /** As it would be written; empty = unset. */
  fallback: string;
  help: string;
}

function setting<T>(name: string, fallback: string, kind: Kind<T>, help: string): Setting<T> {
  return { ...kind, name, fallback, help };
}

/** The broker has no authentication of its own yet, so it listens on loopback until somebody decides otherwise. */
const loopback = "127.0.0.1";

export const settings = {
  grpcHost: setting(
    "DROVER_GRPC_HOST",
    loopback,
    text,
    "address of the API; 0.0.0.0 or :: = reachable from outside",
  ),
  grpcPort: setting("DROVER_GRPC_PORT", "50051", port, "port of the API"),
  httpHost: setting("DROVER_HTTP_HOST", loopback, text, "address of /metrics, /healthz and /readyz"),
  httpPort: setting("DROVER_HTTP_PORT", "8080", port, "port of /metrics, /healthz and /readyz"),
  tlsCert: setting("DROVER_TLS_CERT", "", file, "certificate of the API; unset = plain text"),
  tlsKey: setting("DROVER_TLS_KEY", "", file, "key of that certificate"),
  tlsCa: setting("DROVER_TLS_CA", "", file, "callers must show a certificate of this authority"),
  natsUrl: setting("DROVER_NATS_URL", "", urls, "nats-servers to use; unset = an embedded one"),
  natsCreds: setting("DROVER_NATS_CREDS", "", file, "credentials file"),
  natsUser: setting("DROVER_NATS_USER", "", optional, "user"),
  natsPassword: setting("DROVER_NATS_PASSWORD", "", optional, "password of that user"),
  natsToken: setting("DROVER_NATS_TOKEN", "", optional, "token"),
  natsTlsCa: setting("DROVER_NATS_TLS_CA", "", file, "authority of the nats-server's certificate"),
  natsTlsCert: setting("DROVER_NATS_TLS_CERT", "", file, "certificate to show to it"),
  natsTlsKey: setting("DROVER_NATS_TLS_KEY", "", file, "key of that certificate"),
  natsServer: setting(
    "DROVER_NATS_SERVER",
    "",
    file,
    "nats-server binary to embed; unset = found or fetched",
  ),
  dataDir: setting("DROVER_DATA_DIR", ".drover/data", text, "where the embedded nats-server stores"),
  sync: setting("DROVER_SYNC", "always", sync, "how often the embedded one fsyncs"),
  namespace: setting("DROVER_NAMESPACE", "default", name, "the namespace this broker serves"),
  replicas: setting(
    "DROVER_REPLICAS",
    "1",
    replicas,
    "nats-servers that keep each job; may be raised later, never lowered",
  ),
  shards: setting(
    "DROVER_SHARDS",
    "1",
    integer(1, 64),
    "streams a namespace is spread over; fixed when it is made",
  ),
  maxLanes: setting(
    "DROVER_MAX_LANES",
    "1000",
    integer(1, 100_000),
    "most (task, queue, priority) in a namespace",
  ),
  storageHighWater: setting(
    "DROVER_STORAGE_HIGH_WATER",
    "0.9",
    share(0.1, 1),
    "share of the storage above which submits are refused",
  ),
  sessionGrace: setting(
    "DROVER_SESSION_GRACE",
    "1s",
    duration("0s", "60s"),
    "what a worker has to reconnect before its leases are lost",
  ),
  sessionTimeout: setting(
    "DROVER_SESSION_TIMEOUT",
    "15s",
    duration("2s", "10m"),
    "silence after which a worker's session ends",
  ),
  stopTimeout: setting(
    "DROVER_STOP_TIMEOUT",
    "10s",
    duration("0s", "10m"),
    "what calls have to end when the broker stops",
  ),
  brokerName: setting(
    "DROVER_BROKER_NAME",
    "",
    brokerName,
    "what the broker calls itself; unset = host and chance",
  ),
  processes: setting(
    "DROVER_PROCESSES",
    "1",
    integer(1, 64),
    "broker processes behind the one port; one keeps no more than one core busy",
  ),
  logLevel: setting(
    "DROVER_LOG_LEVEL",
    "info",
    oneOf("debug", "info", "warn", "error", "silent"),
    "least level that is logged",
  ),
  logFormat: setting(
    "DROVER_LOG_FORMAT",
    "auto",
    oneOf("auto", "json", "text"),
    "auto = text on a terminal, JSON otherwise",
  ),
  otlpEndpoint: setting(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "",
    endpoint,
    "collector that gets the jobs' traces, by OTLP over HTTP; unset = no traces",
  ),
  traceShare: setting(
    "DROVER_TRACE_SHARE",
    "1",
    share(0, 1),
    "share of the jobs submitted without a trace that get one",
  ),
} as const;

export type Config = Readonly<{
  [K in keyof typeof settings]: (typeof settings)[K] extends Setting<infer T> ? T : never;
}>;

export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`the settings do not fit:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "ConfigError";
  }
}

/** Read by the SDKs and the command line; may stand in the same environment. */
const readByOthers = new Set(["DROVER_ADDRESS"]);

/** What Kubernetes adds for services that are called drover-something. */
const serviceLink = /_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?$/;

/** The settings of an environment. An empty variable counts as unset. @throws ConfigError with all that is wrong */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, { name, fallback, parse }] of Object.entries<Setting<unknown>>(settings)) {
    try {
      values[key] = parse(env[name] || fallback);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      problems.push(`${name} ${error.message}; it is ${JSON.stringify(env[name])}`);
    }
  }
  // Each value was made by the setting of its name, which the compiler does not follow through the loop.
  const config = Object.freeze(values) as unknown as Config;
  if (problems.length === 0) problems.push(...contradictions(config));
  problems.push(...unknownNames(env));
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** The table for people, as `--help` prints it. */
export function settingsHelp(): string {
  const rows = Object.values<Setting<unknown>>(settings).map(({ name, fallback, takes, help }) => [
    name,
    fallback || "unset",
    `${help} (${takes})`,
  ]);
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows
    .map(
      ([name = "", fallback = "", help = ""]) =>
        `  ${name.padEnd(width(0))}  ${fallback.padEnd(width(1))}  ${help}`,
    )
    .join("\n");
}

function contradictions(config: Config): string[] {
  const problems: string[] = [];
  const both = (a: string | undefined, b: string | undefined, names: string) => {
    if ((a === undefined) !== (b === undefined)) problems.push(`${names} belong together: set both or none`);
  };
  both(config.tlsCert, config.tlsKey, "DROVER_TLS_CERT and DROVER_TLS_KEY");
  both(config.natsUser, config.natsPassword, "DROVER_NATS_USER and DROVER_NATS_PASSWORD");
  both(config.natsTlsCert, config.natsTlsKey, "DROVER_NATS_TLS_CERT and DROVER_NATS_TLS_KEY");
  if (config.tlsCa !== undefined && config.tlsCert === undefined) {
    problems.push("DROVER_TLS_CA needs DROVER_TLS_CERT and DROVER_TLS_KEY");
  }
  if (config.natsUrl.length === 0 && config.replicas > 1) {
    problems.push("DROVER_REPLICAS above 1 needs DROVER_NATS_URL: an embedded nats-server stands alone");
  }
  const ways = [config.natsCreds, config.natsUser, config.natsToken].filter((way) => way !== undefined);
  if (ways.length > 1) problems.push("DROVER_NATS_CREDS, _USER and _TOKEN exclude one another: keep one");
  if (ways.length > 0 && config.natsUrl.length === 0) {
    problems.push(
      "DROVER_NATS_CREDS, _USER and _TOKEN need DROVER_NATS_URL: an embedded nats-server asks for none",
    );
  }
  return problems;
}

const prefix = "DROVER_";

function withoutPrefix(name: string): string {
  return name.slice(prefix.length);
}

function unknownNames(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = Object.values<Setting<unknown>>(settings)
    .map(({ name }) => name)
    .filter((name) => name.startsWith(prefix));
  return Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !known.includes(name) && !readByOthers.has(name))
    .filter((name) => !serviceLink.test(name) && !env[name]?.startsWith("tcp://"))
    .map((name) => {
      // What all of them begin with makes no two of them alike.
      const near = nearest(withoutPrefix(name), known.map(withoutPrefix));
      return `${name} is no setting: ${near === undefined ? "see --help" : `did you mean ${prefix}${near}?`}`;
    });
}
