// Renders drover.yaml from the Helm chart: npm run manifests.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const head = `# Rendered from deploy/helm/drover by \`npm run manifests\`; a test compares. Two brokers on a NATS in the namespace drover:
#   kubectl create namespace drover
#   kubectl apply -n drover -f drover.yaml
`;
const values = ["-f", at("values.yaml"), "--namespace", "drover", "--kube-version", "1.37.0"];
const args = ["template", "drover", at("../helm/drover"), ...values];
const rendered = execFileSync(at("../../.drover/tools/bin/helm"), args, { encoding: "utf8" });
writeFileSync(at("drover.yaml"), head + rendered);
