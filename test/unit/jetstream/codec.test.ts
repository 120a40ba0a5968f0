// Messages of jobs, from what a broker writes to what a broker reads.

import { assert, constantFrom, property, uint8Array } from "fast-check";
import { headers } from "nats";
import { describe, expect, test } from "vitest";
import type { Phase } from "../../../broker/src/core/job.js";
import { at, decode, encodeJob, header, headersOf, line } from "../../../broker/src/jetstream/codec.js";
import { Subjects } from "../../../broker/src/jetstream/subjects.js";
import { aHold, aJob, aSpec, json, now, retrying } from "../../support/stored-jobs.js";

const subjects = new Subjects("default", 1);
const ref = { task: "mail.send", key: "k1" };
const phases: Phase[] = [
  "ready",
  "held-a",
  "held-b",
  "later",
  "blocked",
  "succeeded",
  "failed",
  "cancelled",
  "kept",
];

function hdrs(fields: Record<string, string>) {
  const all = headers();
  for (const [name, value] of Object.entries(fields)) all.set(name, value);
  return all;
}

const written = hdrs({ [header.rev]: "3", [header.nonce]: "boot-1" });

/** A job with something in every field. */
function full() {
  const spec = retrying(
    { maxAttempts: 7, maxCrashes: 0, jitter: 0.25, factor: 1.5 },
    {
      labels: { tenant: "x" },
      headers: { traceparent: "00-1-2-03" },
      retention: 0,
      softLimit: 1_000,
      hardLimit: 2_000,
      startBy: now + 5,
      runAt: now + 1,
    },
  );
  return aJob(
    {
      attempt: 3,
      failures: 2,
      crashes: 1,
      redeliveries: 4,
      dueAt: now + 1,
      hold: aHold(),
      progress: { value: 0.5, detail: json({ step: 2 }).data, at: now },
      history: [
        {
          number: 2,
          worker: "w",
          startedAt: now - 9,
          endedAt: now - 8,
          outcome: 2,
          failure: { reason: 1, type: "E", message: "é", stack: "at" },
          nonce: "boot-0",
        },
      ],
      cancelRequestedAt: now,
      cancelReason: "no more",
      finishedAt: now,
      result: json([1, 2]),
      failure: { reason: 2, type: "", message: "no", stack: "" },
      outcome: "failed",
    },
    spec,
  );
}

/** Bytes come back as a Buffer: what counts is what they are. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, function (this: Record<string, unknown>, name, shown: unknown) {
      const raw = this[name];
      return raw instanceof Uint8Array ? Buffer.from(raw).toString("base64") : shown;
    }),
  );
}

describe.each(phases)("what was written as %s", (phase) => {
  test("is read as it was", () => {
    for (const subject of [
      subjects.job(phase, ref, "bulk", 9),
      subjects.schedule(phase, ref, "bulk", 9, "boot-1"),
    ]) {
      const read = decode(subject, 17, written, encodeJob(full()));
      const stored = { phase, queue: "bulk", priority: 9, rev: 3, seq: 17, nonce: "boot-1", job: full() };
      expect(plain(read)).toEqual(plain({ kind: "job", stored }));
    }
  });
});

test("keeping no result is not the same as saying nothing of it", () => {
  for (const retention of [0, undefined, 900_000]) {
    const read = decode(
      subjects.job("ready", ref, "q", 5),
      1,
      written,
      encodeJob(aJob({}, aSpec({ retention }))),
    );
    expect(read?.kind === "job" && read.stored.job.spec?.retention).toBe(retention);
  }
});

describe("an alarm says whose schedule it was", () => {
  test.each<[Phase, string]>([
    ["held-a", "held-a"],
    ["held-b", "held-b"],
    ["later", "later"],
    ["blocked", "blocked"],
  ])("%s", (phase, firedFrom) => {
    const scheduler = subjects.schedule(phase, ref, "q", 5, "boot-1");
    const read = decode(
      subjects.job("due", ref, "q", 5),
      9,
      hdrs({ [header.rev]: "3", [header.nonce]: "boot-1", [header.scheduler]: scheduler }),
      encodeJob(aJob()),
    );
    expect(read).toMatchObject({ kind: "job", stored: { phase: "due", firedFrom, rev: 3, nonce: "boot-1" } });
  });

  test("one that does not say it is a wait that is over: of all it is the one that loses nothing", () => {
    const read = decode(subjects.job("due", ref, "q", 5), 9, written, encodeJob(aJob()));
    expect(read).toMatchObject({ kind: "job", stored: { firedFrom: "later" } });
  });
});

test("an emptied message is a tombstone in any phase, with or without headers", () => {
  for (const phase of phases) {
    const subject = subjects.job(phase, ref, "q", 5);
    for (const head of [undefined, headers(), hdrs({ [header.expected]: "7" })]) {
      expect(decode(subject, 9, head, new Uint8Array())).toMatchObject({
        kind: "tombstone",
        subject: { phase, ...ref },
      });
    }
  }
});

test("what lies on a foreign subject is not a job's", () => {
  expect(decode("drover.default.0.body.a.k", 9, written, encodeJob(aJob()))).toBeUndefined();
});

describe("what cannot be read keeps its bytes, its place and its name", () => {
  const subject = subjects.job("ready", ref, "bulk", 9);
  const good = encodeJob(aJob());

  test.each<[string, ReturnType<typeof hdrs> | undefined, Uint8Array]>([
    ["noise", written, new Uint8Array([1, 2, 3, 255, 254])],
    ["half a message", written, good.subarray(0, good.length / 2)],
    ["a job of another key", written, encodeJob(aJob({}, aSpec({ key: "k2" })))],
    ["a job of another task", written, encodeJob(aJob({}, aSpec({ task: "mail" })))],
    ["a job without a retry policy", written, encodeJob(aJob({}, aSpec({ retry: undefined })))],
    ["a job without a spec", written, encodeJob({ ...aJob(), spec: undefined })],
    ["nothing, with a revision", written, new Uint8Array()],
    ["no revision", hdrs({ [header.nonce]: "boot-1" }), good],
    ["a revision of 0", hdrs({ [header.rev]: "0" }), good],
    ["a revision that is no number", hdrs({ [header.rev]: "three" }), good],
    ["a fraction of a revision", hdrs({ [header.rev]: "1.5" }), good],
  ])("%s", (_, head, bytes) => {
    const read = decode(subject, 17, head, bytes);
    expect(read).toMatchObject({
      kind: "corrupt",
      stored: {
        phase: "ready",
        queue: "bulk",
        priority: 9,
        seq: 17,
        job: { spec: { ...ref, queue: "bulk", priority: 9, retry: { maxAttempts: 1, maxCrashes: 0 } } },
      },
    });
    if (read?.kind !== "corrupt") throw new Error("not reached");
    expect(read.bytes).toEqual(bytes);
    expect(Buffer.from(read.stored.job.corrupt)).toEqual(Buffer.from(bytes));
    // It can be recorded as failed: what stands in for the job can be written and read.
    const record = decode(subjects.job("failed", ref, "bulk", 9), 18, written, encodeJob(read.stored.job));
    expect(record?.kind).toBe("job");
  });

  test("no more than 64 KiB of them", () => {
    const read = decode(subject, 17, written, new Uint8Array(100_000).fill(255));
    expect(read?.kind === "corrupt" && read.stored.job.corrupt.length).toBe(65_536);
  });

  test("whatever the bytes are, reading them never throws", async () => {
    const cut = property(uint8Array({ maxLength: 200 }), constantFrom(...phases), (bytes, phase) => {
      const noise = decode(subjects.job(phase, ref, "q", 5), 1, written, bytes);
      expect(noise?.kind).toBe("corrupt");
    });
    await assert(cut, { numRuns: 2_000 });
  });
});

describe("headers", () => {
  test("are of this message alone, and the client reads them as they were meant", () => {
    const first = Buffer.from((headersOf(line("A", "1")) as unknown as { encode(): Uint8Array }).encode());
    const second = Buffer.from((headersOf(line("B", "2")) as unknown as { encode(): Uint8Array }).encode());
    expect(first.toString()).toBe("NATS/1.0\r\nA: 1\r\n\r\n");
    expect(second.toString()).toBe("NATS/1.0\r\nB: 2\r\n\r\n");
  });

  test("name a time as the server reads it", () => {
    expect(at(Date.UTC(2026, 0, 2, 3, 4, 5, 67))).toBe("@at 2026-01-02T03:04:05.067Z");
    expect(at(Date.UTC(2200, 0, 1))).toBe("@at 2200-01-01T00:00:00.000Z");
  });
});
