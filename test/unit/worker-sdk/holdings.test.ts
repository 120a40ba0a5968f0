import { describe, expect, test } from "vitest";
import { Holdings } from "../../../worker-sdk/typescript/src/holdings.js";
import { RELEASED, type Report } from "../../../worker-sdk/typescript/src/outcomes.js";
import { lease } from "./leases.js";

const done: Report = { $case: "success", value: { result: undefined } };
const bytes = (length: number): Report => ({
  $case: "success",
  value: { result: { data: new Uint8Array(length), contentType: "" } },
});
const held = (token: string, leaseId: number, cancelRequested = false) => ({
  token,
  leaseId,
  cancelRequested,
});

function holding(...ids: number[]) {
  const holdings = new Holdings();
  const runs = ids.map((id) => holdings.add(lease(id)));
  return { holdings, runs, run: (index: number) => runs[index] ?? expect.unreachable() };
}

describe("an outcome", () => {
  test("is sent once and kept until it is settled", () => {
    const { holdings, run } = holding(1);
    holdings.report(run(0), done);
    expect(holdings.takeOutcomes()).toEqual([{ leaseId: 1, token: "", report: done }]);
    expect(holdings.takeOutcomes()).toEqual([]);
    expect(holdings.tokens()).toEqual(["token-1"]);
    holdings.settle({ recorded: [1], refused: [] });
    expect(holdings.size).toBe(0);
  });

  test("that is refused is given up and named", () => {
    const { holdings, run } = holding(1, 2);
    holdings.report(run(0), done);
    const error = { code: 10, reason: "LEASE_LOST", message: "gone", violations: [] };
    expect(holdings.settle({ recorded: [], refused: [{ leaseId: 1, token: "", error }] })).toEqual([
      { run: run(0), error },
    ]);
    expect(holdings.tokens()).toEqual(["token-2"]);
  });

  test("that a broker refuses while another one takes over is kept", () => {
    const { holdings, run } = holding(1);
    holdings.report(run(0), done);
    const error = { code: 10, reason: "LEASE_LOST", message: "fenced", violations: [] };
    const refused = { recorded: [], refused: [{ leaseId: 1, token: "", error }] };
    expect(holdings.settle(refused, () => true)).toEqual([]);
    expect(holdings.tokens()).toEqual(["token-1"]);
  });

  test("of a lease nobody knows is settled without harm", () => {
    const { holdings } = holding(1);
    const refused = [{ leaseId: 99, token: "", error: undefined }];
    expect(holdings.settle({ recorded: [98], refused })).toEqual([]);
    expect(holdings.size).toBe(1);
  });

  test("of a lost lease is not sent", () => {
    const { holdings, run } = holding(1, 2);
    holdings.report(run(0), done);
    holdings.report(run(1), done);
    holdings.drop(run(0));
    expect(holdings.takeOutcomes().map(({ leaseId }) => leaseId)).toEqual([2]);
  });
});

describe("a batch of outcomes", () => {
  test("holds at most 1,000, in their order", () => {
    const { holdings, runs } = holding(...Array.from({ length: 2_500 }, (_, i) => i + 1));
    for (const run of runs) holdings.report(run, done);
    const batches = [holdings.takeOutcomes(), holdings.takeOutcomes(), holdings.takeOutcomes()];
    expect(batches.map((batch) => batch.length)).toEqual([1_000, 1_000, 500]);
    expect(batches.flat().map(({ leaseId }) => leaseId)).toEqual(runs.map((run) => run.leaseId));
    expect(holdings.hasOutcomes).toBe(false);
  });

  test("stays well below the 4 MiB of a message", () => {
    const { holdings, runs } = holding(1, 2, 3, 4, 5);
    for (const run of runs) holdings.report(run, bytes(900 * 1024));
    expect(holdings.takeOutcomes()).toHaveLength(2);
    expect(holdings.takeOutcomes()).toHaveLength(2);
    expect(holdings.takeOutcomes()).toHaveLength(1);
  });
});

describe("after a reattach", () => {
  test("leases go by their new names, and unsettled outcomes are sent again", () => {
    const { holdings, run } = holding(1, 2);
    holdings.report(run(1), RELEASED);
    holdings.takeOutcomes();
    holdings.reattach([held("token-1", 71), held("token-2", 72)]);
    expect(holdings.get(71)).toBe(run(0));
    expect(holdings.get(1)).toBeUndefined();
    expect(holdings.takeOutcomes()).toEqual([{ leaseId: 72, token: "", report: RELEASED }]);
  });

  test("new names may be old names of others", () => {
    const { holdings, run } = holding(1, 2);
    holdings.reattach([held("token-1", 2), held("token-2", 1)]);
    expect(holdings.get(2)).toBe(run(0));
    expect(holdings.get(1)).toBe(run(1));
  });

  test("what is not listed as held is lost", () => {
    const { holdings, run } = holding(1, 2, 3);
    holdings.report(run(2), done);
    const { lost } = holdings.reattach([held("token-1", 5)]);
    expect(lost).toEqual([run(1), run(2)]);
    for (const gone of lost) holdings.drop(gone);
    expect(holdings.tokens()).toEqual(["token-1"]);
    expect(holdings.takeOutcomes()).toEqual([]);
  });

  test("dropping a lost lease does not touch the one that has its old name now", () => {
    const { holdings, run } = holding(1, 2);
    holdings.reattach([held("token-2", 1)]);
    holdings.drop(run(0));
    expect(holdings.get(1)).toBe(run(1));
  });

  test("what was settled meanwhile is not taken back", () => {
    const { holdings } = holding(1);
    holdings.settle({ recorded: [1], refused: [] });
    expect(holdings.reattach([held("token-1", 9)])).toEqual({ lost: [], cancelRequested: [] });
    expect(holdings.size).toBe(0);
  });

  test("cancellations that were asked for meanwhile are known", () => {
    const { holdings, run } = holding(1, 2);
    const { cancelRequested } = holdings.reattach([held("token-1", 1), held("token-2", 2, true)]);
    expect(cancelRequested).toEqual([run(1)]);
  });
});

describe("progress", () => {
  const at = (value: number) => ({ value, detail: new Uint8Array(0) });

  test("is told as the last report of each run", () => {
    const { holdings, run } = holding(1, 2);
    holdings.progress(run(0), at(0.1));
    holdings.progress(run(1), at(0.5));
    holdings.progress(run(0), at(0.2));
    expect(holdings.takeProgress().map(({ leaseId, progress }) => [leaseId, progress?.value])).toEqual([
      [1, 0.2],
      [2, 0.5],
    ]);
    expect(holdings.hasProgress).toBe(false);
  });

  test("of runs that are over is not taken", () => {
    const { holdings, run } = holding(1, 2, 3);
    holdings.report(run(0), done);
    holdings.progress(run(0), at(1));
    run(1).closed = true;
    holdings.progress(run(1), at(1));
    holdings.progress(run(2), at(1));
    holdings.drop(run(2));
    expect(holdings.takeProgress()).toEqual([]);
  });

  test("is told under the lease's new name", () => {
    const { holdings, run } = holding(1);
    holdings.progress(run(0), at(0.3));
    holdings.reattach([held("token-1", 44)]);
    expect(holdings.takeProgress()[0]?.leaseId).toBe(44);
  });
});
