// Adds to package-lock.json what npm (11.16 and later) leaves out when the registry in use does not carry the binaries of
// every platform: `npm ci` then refuses the lockfile that `npm install` has just written. Run by `npm run lock`.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";

const file = join(root, "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8"));

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "sunos", "win32"];
const processors = { aarch64: "arm64", arm64: "arm64", armv7: "arm", ia32: "ia32", x64: "x64" };

/** Such packages are named after the platform they are for: `@biomejs/cli-linux-arm64-musl`. */
function platformOf(name) {
  const words = name.split("-");
  const os = systems.find((system) => words.includes(system));
  const processor = Object.keys(processors).find((word) => words.includes(word));
  if (!os || !processor) throw new Error(`${name}: which platform is that for?`);
  return { os: [os], cpu: [processors[processor]], libc: words.includes("musl") ? ["musl"] : undefined };
}

for (const { dev, engines, optionalDependencies = {} } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (lock.packages[`node_modules/${name}`]) continue;
    const { os, cpu, libc } = platformOf(name);
    // The order of the fields is npm's; what is undefined is not written.
    lock.packages[`node_modules/${name}`] = { version, cpu, dev, libc, optional: true, os, engines };
  }
}

const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en"));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
