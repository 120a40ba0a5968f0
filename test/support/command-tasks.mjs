// What `drover-worker` is given in tests: tasks that it finds, and options of the worker as the default export.
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { defineTask } from "@drover/worker";

const note = (what) => process.env.DIARY !== undefined && appendFileSync(process.env.DIARY, `${what}\n`);

export const hello = defineTask({ name: "command.hello", handler: ({ name }) => `Hello, ${name}!` });

/** Waits for a file. */
export const gate = defineTask({
  name: "command.gate",
  handler: async ({ gate }, context) => {
    note("began");
    while (!existsSync(gate)) await sleep(20, undefined, { signal: context.signal });
    return "opened";
  },
});

/** Without the option `module`: it is found in the module that the command was given. */
export const apart = defineTask({
  name: "command.apart",
  handler: () => process.pid,
  isolation: "process",
});

export default { onStart: () => note("started"), onStop: () => note("stopped") };
