// Work on one thing is done piece by piece, on several side by side.

import { expect, test } from "vitest";
import { Turns } from "../../../broker/src/app/turns.js";

test("a second piece waits for the first, whether that succeeds or fails, and one on another thing does not", async () => {
  const turns = new Turns();
  const steps: string[] = [];
  let end: (error: Error) => void = () => undefined;
  const first = turns.take("a", () => {
    steps.push("first");
    return new Promise((_, reject) => {
      end = reject;
    });
  });
  const second = turns.take("a", async () => void steps.push("second"));
  await turns.take("b", async () => void steps.push("other"));
  expect(steps).toEqual(["first", "other"]);
  end(new Error("broke"));
  await expect(first).rejects.toThrow("broke");
  await second;
  expect(steps).toEqual(["first", "other", "second"]);
});
