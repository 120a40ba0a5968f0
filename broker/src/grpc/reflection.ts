// Server reflection from the descriptors that buf made of the contract, comments included (see descriptors.mjs). What
// protobufjs derives from the same files loses imports, the names of map entries and `optional`: grpcurl refuses it.

import { readFileSync } from "node:fs";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";

/** Makes the server answer `grpcurl list` and every client that has nothing but its address. */
export function addReflection(server: Server): void {
  // Compiled or not, the file lies beside the source.
  const set = readFileSync(new URL("../../src/grpc/descriptors.binpb", import.meta.url));
  const contract = { fileDescriptorProtos: filesOf(set) };
  // The library takes what proto-loader returns, but reads only this field of it.
  type Definition = ConstructorParameters<typeof ReflectionService>[0];
  new ReflectionService({ contract } as unknown as Definition).addToServer(server);
}

const fileField = (1 << 3) | 2;

/** The files of a google.protobuf.FileDescriptorSet, each as its bytes: `repeated FileDescriptorProto file = 1`. */
function filesOf(set: Buffer): Buffer[] {
  const files: Buffer[] = [];
  let at = 0;
  while (at < set.length) {
    if (set[at++] !== fileField) throw new Error("descriptors.binpb is no FileDescriptorSet");
    let length = 0;
    let shift = 0;
    let byte = 0x80;
    while (byte & 0x80) {
      byte = set[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      shift += 7;
    }
    files.push(set.subarray(at, at + length));
    at += length;
  }
  return files;
}
