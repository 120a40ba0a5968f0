// Prometheus and promtool: those on the PATH, or Debian's package, unpacked here without being installed. Building them
// from source takes longer than all other tools together.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { MissingTool, mustRun, which } from "./commands.mjs";
import { cache, toolsBin } from "./paths.mjs";
import { step } from "./progress.mjs";
import { fingerprint, stamp, stamped } from "./stamps.mjs";

const programs = ["prometheus", "promtool"];

export async function ensurePrometheus() {
  const print = fingerprint(programs);
  if (programs.every((name) => existsSync(join(toolsBin, name))) && stamped("prometheus", print)) return;
  await step("prometheus", async () => {
    mkdirSync(toolsBin, { recursive: true });
    for (const name of programs) rmSync(join(toolsBin, name), { force: true });
    const found = programs.map((name) => which(name));
    if (!found.every(Boolean)) await unpack();
    else for (const path of found) symlinkSync(path, join(toolsBin, basename(path)));
  });
  stamp("prometheus", print);
}

async function unpack() {
  if (!which("apt-get") || !which("dpkg-deb")) {
    throw new MissingTool(
      `Prometheus is not installed, and there is no apt-get to fetch it with: put ${programs.join(" and ")} on the PATH.`,
    );
  }
  const folder = mkdtempSync(join(cache, "prometheus-"));
  try {
    await mustRun("apt-get", ["download", "prometheus"], { cwd: folder });
    const [archive] = readdirSync(folder);
    await mustRun("dpkg-deb", ["-x", archive, "unpacked"], { cwd: folder });
    for (const name of programs) copyFileSync(join(folder, "unpacked/usr/bin", name), join(toolsBin, name));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
