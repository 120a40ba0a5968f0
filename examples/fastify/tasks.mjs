// What the web service and the worker both know of a task: its name, what fits into it, how it is submitted.
import { taskRef } from "@drover/client";
import { z } from "zod";

export const processUser = taskRef("users.process", {
  payload: z.object({ userId: z.int().positive(), email: z.email().optional() }),
  result: z.object({ userId: z.int(), processed: z.boolean() }),
  retry: { retries: 3, initialDelay: 60_000, factor: 2 },
  hardTimeLimit: 300_000,
});
