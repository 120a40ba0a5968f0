// Running other programs, and the one kind of error that is told without a stack trace.
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { root } from "./paths.mjs";

/** Something a user can put right. Its message is all there is to say. */
export class UserError extends Error {}

/** A program that has to be installed by hand. */
export class MissingTool extends UserError {}

// Programs with a time limit run in a process group of their own, so that what they started goes with them.
const groups = new Set();

function killGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => {
    for (const pid of groups) killGroup(pid);
    process.kill(process.pid, signal); // Now without a handler: as the signal would have it.
  });
}

/**
 * Runs a program to its end: `{ code, output, stdout }`, the output being stdout and stderr as they came.
 * A program that does not exist has the code 127, as in a shell. The time limit is in seconds.
 */
export function run(command, args, { cwd = root, env = {}, timeLimit } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: timeLimit !== undefined,
    });
    const all = [];
    const out = [];
    let timer;
    const endOf = (text) => {
      clearTimeout(timer);
      groups.delete(child.pid);
      if (text) all.push(Buffer.from(text));
    };
    if (timeLimit !== undefined && child.pid) {
      groups.add(child.pid);
      timer = setTimeout(() => {
        all.push(Buffer.from(`\n${command} took longer than its limit of ${timeLimit} s and was killed.\n`));
        killGroup(child.pid);
      }, timeLimit * 1000);
    }
    child.stdout.on("data", (chunk) => all.push(chunk) && out.push(chunk));
    child.stderr.on("data", (chunk) => all.push(chunk));
    const text = (chunks) => Buffer.concat(chunks).toString("utf8");
    child.on("error", (error) => {
      endOf();
      resolve({ code: 127, output: error.message, stdout: "" });
    });
    child.on("close", (code, signal) => {
      endOf(signal && `\n${command} was ended by ${signal}.\n`);
      resolve({ code: code ?? 1, output: text(all), stdout: text(out) });
    });
  });
}

/** The beginning and the end: some programs put the cause first, some last. */
function gist(output) {
  const lines = output.trim().split("\n");
  const shown = lines.length > 40 ? [...lines.slice(0, 20), "[...]", ...lines.slice(-20)] : lines;
  return shown.join("\n  ");
}

/** As run, but a failure is an error with what the program said. */
export async function mustRun(command, args, options) {
  const result = await run(command, args, options);
  if (result.code === 0) return result;
  throw new UserError(`\`${[command, ...args].join(" ")}\` failed:\n  ${gist(result.output)}`);
}

/** The path of a program on PATH, if it is there. */
export function which(name) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    try {
      const path = join(folder || ".", name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
