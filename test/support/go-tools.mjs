// Go: its modules, and the tools that are only to be had through it.
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { MissingTool, mustRun, which } from "./commands.mjs";
import { crds, toolsBin } from "./paths.mjs";
import { step } from "./progress.mjs";
import { fingerprint, stamp, stamped } from "./stamps.mjs";

const pinned = {
  grpcurl: "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4",
  helm: "helm.sh/helm/v3/cmd/helm@v3.22.0",
  "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
  "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
  "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
};

/** Schemas of the custom resources that the chart makes, and of compose files, from the modules that define them. */
const definitions = {
  "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
    "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
  ],
  "github.com/kedacore/keda/v2@v2.21.0": ["config/crd/bases/keda.sh_scaledobjects.yaml"],
  "github.com/compose-spec/compose-go/v2@v2.16.2": ["schema/compose-spec.json"],
  "sigs.k8s.io/gateway-api@v1.4.0": ["config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml"],
};

const modules = ["proto/gen/go", "worker-sdk/go", "client-sdk/go", "test/polyglot/parity/go"];

function requireGo(what) {
  if (!which("go")) throw new MissingTool(`Go is not installed (1.26 or later), and ${what} needs it.`);
}

export async function ensureGoTools(...names) {
  for (const name of names) {
    const print = fingerprint([pinned[name]]);
    if (existsSync(join(toolsBin, name)) && stamped(name, print)) continue;
    requireGo(name);
    await step(name, () => mustRun("go", ["install", pinned[name]], { env: { GOBIN: toolsBin } }));
    stamp(name, print);
  }
}

export async function ensureGoModules() {
  requireGo("the Go SDK");
  const files = ["go.work", ...modules.flatMap((module) => [`${module}/go.mod`, `${module}/go.sum`])];
  const print = fingerprint([], files);
  if (stamped("go-modules", print)) return;
  await step("Go modules", () => mustRun("go", ["mod", "download"]));
  stamp("go-modules", print);
}

export async function ensureCustomResources() {
  const print = fingerprint([JSON.stringify(definitions)]);
  if (existsSync(crds) && stamped("crds", print)) return;
  requireGo("checking the Helm chart");
  await step("schemas of custom resources and compose files", async () => {
    mkdirSync(crds, { recursive: true });
    for (const [module, files] of Object.entries(definitions)) {
      const { stdout } = await mustRun("go", ["mod", "download", "-json", module], {
        env: { GOWORK: "off" },
      });
      const { Dir: folder } = JSON.parse(stdout);
      for (const file of files) copyFileSync(join(folder, file), join(crds, basename(file)));
    }
  });
  stamp("crds", print);
}
