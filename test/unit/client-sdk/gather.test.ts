import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  ClientBusyError,
  ClientClosedError,
  DeadlineExceededError,
} from "../../../client-sdk/typescript/src/errors.js";
import {
  batchSize,
  type Gathered,
  Gatherer,
  type GatherRules,
  mayGo,
} from "../../../client-sdk/typescript/src/gather.js";

const rules: GatherRules = { items: 10, bytes: 1_000, calls: 3, patience: 5, waiting: 30 };

describe("a batch goes", () => {
  test.each`
    waiting | bytes    | calls | waited | goes     | why
    ${0}    | ${0}     | ${0}  | ${0}   | ${false} | ${"not without items"}
    ${1}    | ${1}     | ${0}  | ${0}   | ${true}  | ${"at once when idle"}
    ${9}    | ${9}     | ${1}  | ${0}   | ${false} | ${"not while a call is under way and it is not full"}
    ${10}   | ${10}    | ${1}  | ${0}   | ${true}  | ${"when it is full"}
    ${2}    | ${1_000} | ${1}  | ${0}   | ${true}  | ${"when it is full by its bytes"}
    ${1}    | ${1}     | ${2}  | ${5}   | ${true}  | ${"when the first has waited long enough"}
    ${50}   | ${9_999} | ${3}  | ${99}  | ${false} | ${"not when too many calls are under way"}
  `("$why", ({ goes, ...pressure }) => {
    expect(mayGo(pressure, rules)).toBe(goes);
  });

  test.each`
    bytes                | size  | why
    ${Array(25).fill(1)} | ${10} | ${"with as many as the limit allows"}
    ${[400, 400, 400]}   | ${2}  | ${"with as many bytes as the limit allows"}
    ${[5_000, 1]}        | ${1}  | ${"with one that is too large, alone"}
    ${[1, 2]}            | ${2}  | ${"with all there are"}
  `("$why", ({ bytes, size }) => {
    expect(
      batchSize(
        bytes.map((of: number) => ({ bytes: of })),
        rules,
      ),
    ).toBe(size);
  });
});

interface Item extends Gathered {
  readonly name: number;
  rejected: Error | undefined;
}

describe("requests", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const item = (name: number, timeout = 1_000): Item => ({
    name,
    bytes: 1,
    giveUpAt: performance.now() + timeout,
    queuedAt: 0,
    rejected: undefined,
    reject(error) {
      this.rejected = error;
    },
  });

  function gathering() {
    const calls: { names: number[]; items: Item[]; answer: () => Promise<void> }[] = [];
    const gatherer = new Gatherer<Item>(
      rules,
      (items) =>
        new Promise((resolve) => {
          const answer = async () => {
            resolve();
            await turn();
          };
          calls.push({ names: items.map(({ name }) => name), items, answer });
        }),
    );
    return { gatherer, calls, sent: () => calls.map(({ names }) => names) };
  }

  const turn = async () => {
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };

  test("of one go are one batch, a single one stays single", async () => {
    const { gatherer, sent } = gathering();
    for (const name of [1, 2, 3]) gatherer.push(item(name));
    await turn();
    expect(sent()).toEqual([[1, 2, 3]]);
    const alone = gathering();
    alone.gatherer.push(item(1));
    await turn();
    expect(alone.sent()).toEqual([[1]]);
  });

  test("gather while a call is under way and go when it returns", async () => {
    const { gatherer, calls, sent } = gathering();
    gatherer.push(item(1));
    await turn();
    for (const name of [2, 3]) {
      gatherer.push(item(name));
      await turn();
    }
    expect(sent()).toEqual([[1]]);
    await calls[0]?.answer();
    expect(sent()).toEqual([[1], [2, 3]]);
  });

  test("do not wait long behind a call that hangs", async () => {
    const { gatherer, sent } = gathering();
    gatherer.push(item(1));
    await turn();
    gatherer.push(item(2));
    await turn();
    await vi.advanceTimersByTimeAsync(5);
    expect(sent()).toEqual([[1], [2]]);
  });

  test("that could not be sent in time are told so, when it is time", async () => {
    const { gatherer, sent } = gathering();
    for (const name of [1, 2, 3]) {
      gatherer.push(item(name));
      await turn();
      await vi.advanceTimersByTimeAsync(5);
    }
    const late = item(4, 100);
    gatherer.push(late);
    await vi.advanceTimersByTimeAsync(99);
    expect(late.rejected).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2);
    expect(late.rejected).toBeInstanceOf(DeadlineExceededError);
    expect(sent()).toEqual([[1], [2], [3]]);
  });

  test("that were sent in vain before are told why, and not that their time is over", async () => {
    const { gatherer, calls } = gathering();
    const tried = Object.assign(item(1, 100), { trouble: new Error("no such authority") });
    gatherer.push(tried);
    await turn();
    gatherer.again([tried], 150);
    await calls[0]?.answer();
    await vi.advanceTimersByTimeAsync(150);
    expect(tried.rejected?.message).toBe("no such authority");
  });

  test("beyond the bound are refused", async () => {
    const { gatherer } = gathering();
    for (let name = 0; name < 30; name++) gatherer.push(item(name));
    expect(() => gatherer.push(item(31))).toThrow(ClientBusyError);
  });

  test("that rest before another try count as waiting, and go first then", async () => {
    const { gatherer, calls, sent } = gathering();
    gatherer.push(item(1));
    await turn();
    gatherer.again(calls[0]?.items ?? [], 50);
    for (let name = 2; name < 31; name++) gatherer.push(item(name));
    expect(() => gatherer.push(item(31))).toThrow(ClientBusyError);
    await turn();
    expect(sent()).toEqual([[1], range(2, 11), range(12, 21)]);
    await vi.advanceTimersByTimeAsync(50);
    await calls[0]?.answer();
    expect(sent()[3]).toEqual([1, ...range(22, 30)]);
  });

  test("end with their client", async () => {
    const { gatherer } = gathering();
    const waiting = item(1);
    gatherer.push(waiting);
    gatherer.close();
    expect(waiting.rejected).toBeInstanceOf(ClientClosedError);
    expect(() => gatherer.push(item(2))).toThrow(ClientClosedError);
  });
});

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
