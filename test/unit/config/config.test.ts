import { describe, expect, test } from "vitest";
import { ConfigError, readConfig, settings, settingsHelp } from "../../../broker/src/config.js";

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

test("an empty environment gives the documented defaults", () => {
  expect(readConfig({})).toMatchObject({
    grpcHost: "127.0.0.1",
    grpcPort: 50_051,
    httpPort: 8_080,
    natsUrl: [],
    dataDir: ".drover/data",
    replicas: 1,
    shards: 1,
    sync: "always",
    namespace: "default",
    logLevel: "info",
    logFormat: "auto",
    sessionGrace: 1_000,
    sessionTimeout: 15_000,
    maxLanes: 1_000,
    storageHighWater: 0.9,
    tlsCert: undefined,
  });
});

test("an empty variable counts as unset", () => {
  expect(readConfig({ DROVER_GRPC_PORT: "", DROVER_NATS_URL: "" })).toMatchObject({
    grpcPort: 50_051,
    natsUrl: [],
  });
});

test("settings of other programs are left alone", () => {
  expect(problemsOf({ PATH: "/bin", NATS_URL: "x", DROVER_ADDRESS: "localhost:50051" })).toEqual([]);
});

test("the configuration cannot be changed", () => {
  expect(Object.isFrozen(readConfig({}))).toBe(true);
});

test("brokers of one host differ in name", () => {
  expect(readConfig({}).brokerName).toMatch(/^[A-Za-z0-9_.-]+-[0-9a-f]{6}$/);
  expect(readConfig({}).brokerName).not.toBe(readConfig({}).brokerName);
  expect(readConfig({ DROVER_BROKER_NAME: "a" }).brokerName).toBe("a");
});

describe("values", () => {
  test.each([
    ["DROVER_GRPC_PORT", "0", "grpcPort", 0],
    ["DROVER_SHARDS", "64", "shards", 64],
    ["DROVER_NATS_URL", "nats://a:4222, nats://b:4222", "natsUrl", ["nats://a:4222", "nats://b:4222"]],
    ["DROVER_SYNC", "10s", "sync", 10_000],
    ["DROVER_SESSION_GRACE", "500ms", "sessionGrace", 500],
    ["DROVER_STORAGE_HIGH_WATER", "0.75", "storageHighWater", 0.75],
    ["DROVER_LOG_LEVEL", "silent", "logLevel", "silent"],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318", "otlpEndpoint", "https://collector:4318"],
    ["DROVER_TRACE_SHARE", "0", "traceShare", 0],
  ])("%s=%s", (name, text, key, value) => {
    expect(readConfig({ [name]: text })).toMatchObject({ [key]: value });
  });
});

describe("what does not fit is refused with its range", () => {
  test.each([
    ["DROVER_GRPC_PORT", "65536", /must be a whole number from 0 to 65535; it is "65536"/],
    ["DROVER_GRPC_PORT", "http", /must be a whole number/],
    ["DROVER_GRPC_PORT", "tcp://10.0.0.1:50051", /enableServiceLinks: false/],
    ["DROVER_SHARDS", "0", /from 1 to 64/],
    ["DROVER_SHARDS", "1.5", /from 1 to 64/],
    ["DROVER_REPLICAS", "2", /must be 1 or 3/],
    ["DROVER_SYNC", "sometimes", /`always` or a duration/],
    ["DROVER_NAMESPACE", "a b", /is no name/],
    ["DROVER_SESSION_TIMEOUT", "15", /a duration such as/],
    ["DROVER_SESSION_TIMEOUT", "1s", /must be 2s to 10m/],
    ["DROVER_STORAGE_HIGH_WATER", "90", /from 0.1 to 1/],
    ["DROVER_LOG_LEVEL", "verbose", /one of debug, info, warn, error, silent/],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", /an address such as http/],
    ["DROVER_TRACE_SHARE", "2", /from 0 to 1/],
    ["DROVER_REPLICAS", "3", /needs DROVER_NATS_URL/],
    ["DROVER_TLS_CERT", "a.pem", /DROVER_TLS_KEY belong together/],
    ["DROVER_NATS_TOKEN", "secret", /need DROVER_NATS_URL/],
  ])("%s=%s", (name, text, problem) => {
    expect(problemsOf({ [name]: text })).toEqual([expect.stringMatching(problem)]);
  });

  test("all of it at once", () => {
    const problems = problemsOf({ DROVER_SHARDS: "x", DROVER_REPLICAS: "9", DROVER_GRPCPORT: "1" });
    expect(problems).toHaveLength(3);
  });
});

describe("names that are no settings", () => {
  test.each([
    ["DROVER_GRPCPORT", /did you mean DROVER_GRPC_PORT\?/],
    ["DROVER_NAT_URL", /did you mean DROVER_NATS_URL\?/],
    ["DROVER_FOO", /DROVER_FOO is no setting: see --help/],
    ["DROVER_SOMETHING_ELSE", /see --help/],
  ])("%s is refused", (name, problem) => {
    expect(problemsOf({ [name]: "1" })).toEqual([expect.stringMatching(problem)]);
  });

  test.each([
    ["DROVER_SERVICE_HOST", "10.0.0.1"],
    ["DROVER_SERVICE_PORT_GRPC", "50051"],
    ["DROVER_PORT", "tcp://10.0.0.1:50051"],
    ["DROVER_PORT_50051_TCP_ADDR", "10.0.0.1"],
  ])("%s, which Kubernetes adds, is not", (name, text) => {
    expect(problemsOf({ [name]: text })).toEqual([]);
  });
});

test("--help names every setting with its default and what it takes", () => {
  const help = settingsHelp();
  for (const { name, help: line } of Object.values(settings)) {
    expect(help).toContain(name);
    expect(help).toContain(line);
  }
  expect(help).toMatch(/DROVER_SHARDS +1 +.*\(1 to 64\)/);
});
