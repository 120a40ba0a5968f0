// Payloads with schemas. The schema here is made by hand, so that nothing but the Standard Schema interface is relied on;
// test/polyglot/packages.test.ts does the same with zod and valibot themselves.

import { PayloadError } from "@drover/proto/sdk/payload";
import type { Schema } from "@drover/proto/sdk/schema";
import { describe, expect, expectTypeOf, test } from "vitest";
import { InvalidArgumentError } from "../../../client-sdk/typescript/src/errors.js";
import { checkPayload, taskRef } from "../../../client-sdk/typescript/src/spec.js";
import { defineTask, implement } from "../../../worker-sdk/typescript/src/task.js";

interface Order {
  customer: string;
  lines: { price: number; due: string }[];
}
interface ReadOrder {
  customer: string;
  lines: { price: number; due: Date }[];
}

/** Texts become dates, and every price that is none is told with its place. */
function order(asynchronous = false): Schema<Order, ReadOrder> {
  const validate = (value: unknown) => {
    const { customer, lines } = value as Order;
    const issues = lines.flatMap(({ price }, index) =>
      typeof price === "number"
        ? []
        : [{ message: "expected a number", path: ["lines", { key: index }, "price"] }],
    );
    const read = lines.map(({ price, due }) => ({ price, due: new Date(due) }));
    return issues.length > 0 ? { issues } : { value: { customer, lines: read } };
  };
  return {
    "~standard": {
      version: 1,
      vendor: "hand",
      validate: (value) => (asynchronous ? Promise.resolve(validate(value)) : validate(value)),
    },
  };
}

const count: Schema<number, number> = {
  "~standard": {
    version: 1,
    vendor: "hand",
    validate: (value) => (typeof value === "number" ? { value } : { issues: [{ message: "no number" }] }),
  },
};

/** What a program without types may send. */
const bad: Order = JSON.parse(
  JSON.stringify({ customer: "Ada", lines: [{ price: 1 }, { price: "two" }, { price: null }] }),
);
const good: Order = { customer: "Ada", lines: [{ price: 1, due: "2026-01-01T00:00:00Z" }] };
const paths = "payload.lines[1].price: expected a number; payload.lines[2].price: expected a number";

describe.each([{ asynchronous: false }, { asynchronous: true }])(
  "a schema ($asynchronous)",
  ({ asynchronous }) => {
    const contract = taskRef("orders.count", { payload: order(asynchronous), result: count, priority: 7 });
    const task = implement(contract, (read) => {
      expectTypeOf(read).toEqualTypeOf<ReadOrder>();
      return read.lines.filter(({ due }) => due.getFullYear() === 2026).length;
    });

    test("gives the handler what it makes of the payload, and both sides its types", async () => {
      expectTypeOf<Parameters<typeof task>[0]>().toEqualTypeOf<Order>();
      expect(await task(good)).toBe(1);
      expect(task.defaults).toEqual({ priority: 7 });
    });

    test("refuses a payload that does not fit with the path of each field", async () => {
      const refused = task(bad);
      await expect(refused).rejects.toThrow(PayloadError);
      await expect(refused).rejects.toThrow(paths);
    });

    test("lets the client refuse it before anything is sent", async () => {
      const refused = (async () => checkPayload(contract, bad))();
      await expect(refused).rejects.toThrow(InvalidArgumentError);
      await expect(refused).rejects.toMatchObject({
        fields: [{ field: "payload.lines[1].price" }, { field: "payload.lines[2].price" }],
      });
      await checkPayload(contract, good);
    });
  },
);

test("a result that does not fit is refused too", async () => {
  const task = defineTask({
    name: "t",
    payload: count,
    result: count,
    handler: () => JSON.parse('"text"'),
  });
  await expect(task(1)).rejects.toThrow("result: no number");
});

test("how runs are isolated concerns the worker, not the submitter", () => {
  const task = defineTask({ name: "t", handler: () => 1, isolation: "process", module: "m.js", queue: "q" });
  expect(task.defaults).toEqual({ queue: "q" });
  expect(task.options).toMatchObject({ isolation: "process", module: "m.js" });
});
