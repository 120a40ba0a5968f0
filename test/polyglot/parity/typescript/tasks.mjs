// What a module for `drover-worker` looks like, and tasks whose runs have to be ended for real.
import { writeFileSync } from "node:fs";
import { defineTask } from "@drover/worker";

export const greet = defineTask({ name: "parity.greet", handler: ({ name }) => `Hello, ${name}!` });

export const isolated = defineTask({
  name: "parity.labels",
  isolation: "process",
  module: import.meta.url,
  handler: (_, { labels }) => labels,
});

export const endless = defineTask({
  name: "parity.endless",
  isolation: "process",
  module: import.meta.url,
  handler: ({ began } = {}) => {
    if (began !== undefined) writeFileSync(began, `${process.pid}\n`);
    for (;;);
  },
});
