// Writes descriptors.binpb, what server reflection tells: the contract with its comments, the health service and the
// details of errors.
//   node broker/src/grpc/descriptors.mjs           writes
//   node broker/src/grpc/descriptors.mjs --check   fails if the file is not what the .proto files give
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const file = fileURLToPath(new URL("descriptors.binpb", import.meta.url));

/** A google.protobuf.FileDescriptorSet; several of them, one after the other, are one again. */
function describe(input, ...paths) {
  const only = paths.flatMap((path) => ["--path", `${input}/${path}`]);
  return execFileSync(
    `${root}node_modules/.bin/buf`,
    ["build", input, ...only, "--as-file-descriptor-set", "-o", "-#format=bin"],
    {
      cwd: root,
    },
  );
}

const set = Buffer.concat([
  describe("proto", "drover/v1"),
  describe("node_modules/grpc-health-check/proto", "health/v1/health.proto"),
  describe("node_modules/google-proto-files", "google/rpc/error_details.proto"),
]);
if (!process.argv.includes("--check")) {
  writeFileSync(file, set);
} else if (!existsSync(file) || !readFileSync(file).equals(set)) {
  console.error(
    "descriptors.binpb is not what the .proto files give: run node broker/src/grpc/descriptors.mjs",
  );
  process.exitCode = 1;
}
