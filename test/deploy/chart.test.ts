// The Helm chart: it renders whatever sensible values it is given, what it renders fits the schemas of Kubernetes and of
// the custom resources in it, and values that make no sense are refused by name.

import { execFile, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const chart = join(root, "deploy/helm/drover");
const cache = join(root, ".drover");
const helm = join(cache, "tools/bin/helm");
const kubeScore = join(cache, "tools/bin/kube-score");
const python = join(cache, "venv/bin/python");
const crds = join(cache, "crds");
const kubernetes = "1.37";
const always = ["--set", "nats.url=nats://nats:4222"];

/** Settings as --set takes them, for each way the chart is meant to be used. */
const uses: Record<string, string[]> = {
  "as it comes": [],
  "one broker on one NATS server": ["replicas=1", "nats.replicas=1"],
  "scaled by CPU": ["autoscaling.enabled=true"],
  "NATS by credentials file and TLS": [
    "nats.auth.kind=creds",
    "nats.auth.secret=nats",
    "nats.tls.secret=nats-tls",
    "nats.tls.clientCert=true",
  ],
  "NATS by token": ["nats.auth.kind=token", "nats.auth.secret=nats"],
  "NATS by password": ["nats.auth.kind=password", "nats.auth.secret=nats"],
  "callers with certificates": ["tls.secret=drover-tls", "tls.clientAuth=true"],
  "behind an ingress": ["ingress.enabled=true", "ingress.host=drover.example.com", "ingress.tlsSecret=t"],
  "behind a gateway": [
    "gateway.enabled=true",
    "gateway.parentName=edge",
    "gateway.hostnames={drover.example.com}",
  ],
  "watched by the Prometheus operator": [
    "serviceMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "grafanaDashboard.enabled=true",
  ],
  "with a worker that KEDA scales": [
    "exampleWorker.enabled=true",
    "exampleWorker.image=example/worker:1",
    "exampleWorker.task=mail.send",
    "exampleWorker.keda.enabled=true",
  ],
  "with a worker that is not scaled": ["exampleWorker.enabled=true", "exampleWorker.image=example/worker:1"],
  "with traces": ["traces.endpoint=http://collector.monitoring:4318", "traces.share=0.1"],
  "on chosen nodes": ["nodeSelector.disk=ssd", "tolerations[0].key=a", "priorityClassName=high"],
};

async function render(settings: readonly string[], args: readonly string[] = always): Promise<string> {
  const sets = settings.flatMap((setting) => ["--set", setting]);
  const all = ["template", "drover", chart, "--kube-version", `${kubernetes}.0`, ...args, ...sets];
  return (await exec(helm, all)).stdout;
}

const refused = (settings: readonly string[], args?: readonly string[]): Promise<string> =>
  render(settings, args).then(
    () => "not refused",
    (error: { stderr: string }) => error.stderr,
  );

const lint = (folder: string) =>
  exec(helm, ["lint", folder, "--strict", "--kube-version", `${kubernetes}.0`, ...always]);

/** What of the manifests does not fit their schemas. */
function misfits(manifests: string): Promise<string> {
  return fed(python, [join(root, "test/deploy/validate.py"), kubernetes, crds], manifests);
}

/** What a policy check has against them. Left out, with reasons: pulling always (tags are never moved) and a CPU limit
 *  (values.yaml says why there is none). */
async function offences(manifests: string): Promise<string> {
  const allowed = ["--ignore-test", "container-image-pull-policy", "--ignore-container-cpu-limit"];
  const args = ["score", "-", "--kubernetes-version", `v${kubernetes}`, "--output-format", "ci", ...allowed];
  const said = await fed(kubeScore, args, manifests);
  return said
    .split("\n")
    .filter((line) => line.startsWith("[CRITICAL]") || line.startsWith("[WARNING]"))
    .join("\n");
}

function fed(command: string, args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    child.stdout.on("data", (data: Buffer) => (said += data));
    child.stderr.on("data", (data: Buffer) => (said += data));
    child.once("error", reject);
    child.once("close", () => resolve(said.trim()));
    child.stdin.end(input);
  });
}

describe("the chart", () => {
  test("passes helm lint", async () => {
    expect((await lint(chart)).stdout).toContain("0 chart(s) failed");
  });

  describe.each(Object.entries(uses))("%s", (_use, settings) => {
    test("fits the schemas of Kubernetes and of custom resources", async () => {
      expect(await misfits(await render(settings))).toBe("");
    });

    test("has nothing that a policy check would refuse", async () => {
      // It wants two of everything; who runs one broker knows.
      const all = await offences(await render(settings));
      expect(settings.includes("replicas=1") ? all.replace(/.*Deployment few replicas/, "") : all).toBe("");
    });
  });

  test("brings the dashboard that the folder beside it holds", async () => {
    const manifests = await render(
      ["grafanaDashboard.enabled=true"],
      [...always, "-s", "templates/monitoring.yaml"],
    );
    const [, shown = ""] = manifests.split("  drover.json: |\n");
    const dashboard = readFileSync(join(root, "deploy/grafana/drover.json"), "utf8");
    expect(JSON.parse(shown)).toEqual(JSON.parse(dashboard));
    expect(manifests).toContain('grafana_dashboard: "1"');
    expect(readFileSync(join(chart, "files/drover.json"), "utf8")).toBe(dashboard);
  });

  test("brings the same alerts as the folder beside it", async () => {
    const manifests = await render(uses["watched by the Prometheus operator"] ?? []);
    const alerts = readFileSync(join(root, "deploy/prometheus/alerts.yaml"), "utf8");
    for (const [, name] of alerts.matchAll(/alert: (\w+)/g)) expect(manifests).toContain(`alert: ${name}`);
    expect(readFileSync(join(chart, "files/alerts.yaml"), "utf8")).toBe(alerts);
  });

  test("lets brokers reach the collector that they are to send traces to", async () => {
    const ports = async (endpoint: string) => {
      const manifests = await render(
        [`traces.endpoint=${endpoint}`],
        [...always, "-s", "templates/access.yaml"],
      );
      const [, egress = ""] = manifests.split("  egress:\n");
      return [...egress.matchAll(/port: (\d+), protocol: TCP/g)].map(([, port]) => Number(port));
    };
    expect(await ports("")).toEqual([53, 4222]);
    expect(await ports("http://collector.monitoring:4318")).toEqual([53, 4222, 4318]);
    expect(await ports("https://collector.example.com/otlp")).toEqual([53, 4222, 443]);
  });

  test("is watched under the name that the alert on brokers that are down looks for", async () => {
    const watched = uses["watched by the Prometheus operator"] ?? [];
    const manifests = await render([...watched, "fullnameOverride=tasks"]);
    const [, name = ""] = /targetLabel: job, replacement: (\S+) /.exec(manifests) ?? [];
    const [, wanted = "-"] = /up\{job=~"([^"]+)"\}/.exec(manifests) ?? [];
    expect(name).toMatch(new RegExp(`^(?:${wanted})$`));
  });

  test("gives a pod longer to stop than its broker takes", async () => {
    const manifests = await render(["stopTimeoutSeconds=120"]);
    expect(manifests).toContain("terminationGracePeriodSeconds: 135");
    expect(manifests).toContain('value: "120s"');
  });

  test("is what the plain manifests were rendered from", async () => {
    const plain = readFileSync(join(root, "deploy/kubernetes/drover.yaml"), "utf8");
    const values = ["-f", join(root, "deploy/kubernetes/values.yaml"), "--namespace", "drover"];
    expect(plain.endsWith(await render([], values))).toBe(true);
  });
});

describe("values that make no sense are refused by name", () => {
  test.each([
    ["replicas=0", "/replicas"],
    ["replicas=two", "/replicas"],
    ["nats.replicas=2", "/nats/replicas"],
    ["nats.url=localhost", "/nats/url"],
    ["nats.auth.kind=token", "/nats/auth/secret"],
    ["shards=65", "/shards"],
    ["logLevel=loud", "/logLevel"],
    ["namespace=a b", "/namespace"],
    ["stopTimeoutSeconds=-1", "/stopTimeoutSeconds"],
    ["service.grpcPort=0", "/service/grpcPort"],
    ["image.digest=latest", "/image/digest"],
    ["exampleWorker.keda.targetAgeSeconds=0", "/exampleWorker/keda/targetAgeSeconds"],
    ["traces.endpoint=collector:4318", "/traces/endpoint"],
    ["traces.share=1.5", "/traces/share"],
    ["tls.clientAuth=true", "/tls/secret"],
    ["nats.tls.clientCert=true", "/nats/tls/secret"],
    ["networkPolicy.natsPort=70000", "/networkPolicy/natsPort"],
    ["replicaCount=3", "replicaCount"],
    ["autoscaling.min=3", "min"],
  ])("%s", async (setting, named) => {
    expect(await refused([setting])).toContain(named);
  });

  test.each([
    [[], [], "nats.url is required"],
    [["ingress.enabled=true", "ingress.tlsSecret=t"], always, "ingress.host is required"],
    [["ingress.enabled=true", "ingress.host=a.b"], always, "ingress.tlsSecret is required"],
    [["gateway.enabled=true"], always, "gateway.parentName is required"],
    [["exampleWorker.enabled=true"], always, "exampleWorker.image is required"],
    [
      ["autoscaling.enabled=true", "autoscaling.minReplicas=11"],
      always,
      "autoscaling.minReplicas is above autoscaling.maxReplicas",
    ],
    [
      ["exampleWorker.enabled=true", "exampleWorker.image=a:1", "exampleWorker.task=t"].concat([
        "exampleWorker.keda.enabled=true",
        "exampleWorker.keda.minReplicas=21",
      ]),
      always,
      "exampleWorker.keda.minReplicas is above exampleWorker.keda.maxReplicas",
    ],
  ])("%j without what it needs", async (settings, args, said) => {
    expect(await refused(settings, args)).toContain(said);
  });
});

describe("the checks find", () => {
  test.each([
    ["a chart without a version", "Chart.yaml", "version: 0.1.0\n", "", "version is required"],
    [
      "a template that is none",
      "templates/services.yaml",
      "{{ .Values.service.type }}",
      "{{ .Values.",
      "services.yaml",
    ],
    ["a value that the schema refuses", "values.yaml", "replicas: 2", "replicas: none", "/replicas"],
  ])("%s", async (_what, file, right, wrong, named) => {
    const folder = mkdtempSync(join(tmpdir(), "drover-chart-"));
    try {
      const copy = join(folder, "drover");
      cpSync(chart, copy, { recursive: true, dereference: true });
      const text = readFileSync(join(copy, file), "utf8");
      expect(text).toContain(right);
      writeFileSync(join(copy, file), text.replace(right, wrong));
      const said = await lint(copy).catch((error: { stdout: string; stderr: string }) => error);
      expect(said).toMatchObject({ code: 1 });
      expect(said.stdout + said.stderr).toContain(named);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test.each([
    ["a field that is none", "replicas: 2", "replicaz: 2", "replicaz"],
    ["a value of the wrong type", "replicas: 2", 'replicas: "two"', "two"],
    ["a kind that does not exist", "kind: Deployment", "kind: Deploymant", "Deploymant"],
  ])("%s", async (_what, right, wrong, named) => {
    const manifests = await render([]);
    expect(manifests).toContain(right);
    expect(await misfits(manifests.replace(right, wrong))).toContain(named);
  });

  test("a custom resource with a field that is none", async () => {
    const manifests = await render(uses["watched by the Prometheus operator"] ?? []);
    expect(await misfits(manifests.replace("path: /metrics", "paths: /metrics"))).toContain("paths");
  });

  test.each([
    ["a container that runs as root", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"],
    ["a container without a memory limit", "memory: 512Mi", "hugepages-2Mi: 0"],
    ["a service that leads nowhere", "app.kubernetes.io/component: broker\n  ports", "a: b\n  ports"],
  ])("%s", async (_what, right, wrong) => {
    const manifests = await render([]);
    expect(manifests).toContain(right);
    expect(await offences(manifests.replaceAll(right, wrong))).not.toBe("");
  });
});
