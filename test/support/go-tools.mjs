// Go: its modules, and the tools that are only to be had through it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MissingTool, mustRun, which } from "./commands.mjs";
import { toolsBin } from "./paths.mjs";
import { step } from "./progress.mjs";
import { fingerprint, stamp, stamped } from "./stamps.mjs";

const pinned = {
  grpcurl: "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4",
  "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
  "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
};

const modules = ["proto/gen/go", "worker-sdk/go", "client-sdk/go"];

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
