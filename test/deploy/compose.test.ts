// The compose file and what it mounts, as far as they can be had without a Docker engine: the file fits the schema of the
// Compose specification, what it mounts is there and is taken by the program that it is for.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client } from "@drover/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { NatsServer } from "../support/nats.js";
import { promtool } from "../support/prometheus.js";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const docker = join(root, "deploy/docker");
const cache = join(root, ".drover");
const python = join(cache, "venv/bin/python");
const natsServer = join(cache, "tools/bin/nats-server");

interface Service {
  image?: string;
  build?: { context: string; dockerfile: string; target?: string };
  volumes?: string[];
  ports?: string[];
  environment?: Record<string, string>;
  read_only?: boolean;
}

const fromYaml = "import sys,json,yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
const validate = `
import sys, json, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(yaml.safe_load(open(sys.argv[2]))):
    print(".".join(map(str, error.absolute_path)) + ": " + error.message)
`;

async function yaml<T>(file: string): Promise<T> {
  return JSON.parse((await exec(python, ["-c", fromYaml, file])).stdout);
}

/** What of a compose file does not fit the specification. */
async function misfits(file: string): Promise<string> {
  return (await exec(python, ["-c", validate, join(cache, "crds/compose-spec.json"), file])).stdout;
}

let folder: string;
let services: Record<string, Service>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "drover-compose-"));
  ({ services } = await yaml<{ services: Record<string, Service> }>(join(docker, "compose.yaml")));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the compose file", () => {
  test("fits the specification", async () => {
    expect(await misfits(join(docker, "compose.yaml"))).toBe("");
  });

  test.each([
    ["a field that is none", "read_only: true", "readonly: true", "readonly"],
    ["a value of the wrong type", "restart: unless-stopped", "restart: [often]", "restart"],
  ])("would not with %s", async (_what, right, wrong, named) => {
    const text = readFileSync(join(docker, "compose.yaml"), "utf8");
    expect(text).toContain(right);
    const file = join(folder, "compose.yaml");
    writeFileSync(file, text.replace(right, wrong));
    expect(await misfits(file)).toContain(named);
  });

  test("has a broker, NATS, Prometheus, Grafana and two workers", () => {
    expect(Object.keys(services).sort()).toEqual(
      ["broker", "grafana", "nats", "prometheus", "worker-python", "worker-typescript"].sort(),
    );
  });

  test("builds from files and stages that there are, and mounts what is there", () => {
    for (const [name, { build, volumes = [] }] of Object.entries(services)) {
      if (build !== undefined) {
        const text = readFileSync(join(docker, build.context, build.dockerfile), "utf8");
        if (build.target !== undefined) expect(text, name).toContain(` AS ${build.target}\n`);
      }
      for (const volume of volumes.filter((each) => each.startsWith(".")))
        expect(existsSync(join(docker, volume.split(":")[0] ?? "")), `${name}: ${volume}`).toBe(true);
    }
  });

  test("is reachable from this machine alone: nobody is asked for a password", () => {
    for (const { ports = [] } of Object.values(services))
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });
});

test("Prometheus takes its configuration", async () => {
  // In the container the rules are mounted at /etc/prometheus.
  const file = join(folder, "prometheus.yml");
  const text = readFileSync(join(root, "deploy/prometheus/prometheus.yml"), "utf8");
  writeFileSync(file, text.replaceAll("/etc/prometheus/", `${root}deploy/prometheus/`));
  await exec(promtool, ["check", "config", file]);
});

describe("the settings of nats-server", () => {
  test("of the compose file are taken, and a broker is ready on them", async () => {
    const text = readFileSync(join(docker, "nats.conf"), "utf8");
    const conf = text.replace("/data", join(folder, "data")).replaceAll(/^(listen|http): .*$/gm, "");
    const server = await NatsServer.start({ conf, jetstream: "off" });
    const broker = await Broker.start({ natsUrl: server.url });
    const client = new Client({ address: broker.address });
    try {
      expect((await (await client.submit("compose.task")).status()).state).toBe("READY");
    } finally {
      client.close();
      await broker.stop();
      await server.stop();
    }
  });

  test("for the official NATS chart are taken, written as that chart writes them", async () => {
    const { config } = await yaml<{
      config: { merge: object; jetstream: { fileStore: { maxSize: string }; merge: object } };
    }>(join(root, "deploy/helm/nats-values.yaml"));
    const { merge, fileStore } = config.jetstream;
    const jetstream = {
      store_dir: join(folder, "chart"),
      max_file_store: `<< ${fileStore.maxSize} >>`,
      ...merge,
    };
    // The chart writes JSON, and takes the quotes from what stands between << and >>: sizes are no texts.
    const text = JSON.stringify({ ...config.merge, jetstream }).replaceAll(/"<< (.*?) >>"/g, "$1");
    const file = join(folder, "chart.conf");
    writeFileSync(file, text);
    await exec(natsServer, ["-t", "-c", file]);
    expect(text).toContain('"sync_interval":"always"');
  });
});
