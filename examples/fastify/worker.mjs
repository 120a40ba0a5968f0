// npm run worker
import { setTimeout as sleep } from "node:timers/promises";
import { implement } from "@drover/worker";
import { processUser as contract } from "./tasks.mjs";

export const processUser = implement(contract, async ({ userId }, context) => {
  context.progress(0.5, { step: "half way" });
  await sleep(100, undefined, { signal: context.signal });
  return { userId, processed: true };
});
