// A change of a job as the messages it is stored with: what guards it, what it ends, what must not be forgotten.

import { describe, expect, test } from "vitest";
import type { Change, Write } from "../../../broker/src/app/ports.js";
import { groupOf, type Outgoing } from "../../../broker/src/jetstream/messages.js";
import { Subjects } from "../../../broker/src/jetstream/subjects.js";
import { aJob, now } from "../../support/stored-jobs.js";

const subjects = new Subjects("default", 1);
const ref = { task: "mail.send", key: "k1" };
const place = { queue: "bulk", priority: 9 };

function jobWrite(fields: Partial<Extract<Write, { kind: "job" }>> = {}): Write {
  return { kind: "job", phase: "ready", job: aJob(), rev: 4, ...place, fireAt: 0, keepFor: 0, ...fields };
}

function group(...writes: Write[]) {
  const change: Change = { ref, expected: 17, nonce: "boot-1", writes };
  return groupOf(change, subjects);
}

function headersIn({ head }: Outgoing): Record<string, string> {
  const lines = head.split("\r\n").filter((text) => text !== "");
  return Object.fromEntries(lines.map((text) => text.split(/: (.*)/, 2) as [string, string]));
}

const check = {
  "Nats-Expected-Last-Subject-Sequence": "17",
  "Nats-Expected-Last-Subject-Sequence-Subject": "drover.default.0.job.*.mail/send.*.*.k1.*",
};

test("a plain change is one message with its revision, its commit and the compare-and-set", () => {
  const { messages, atomic, jobMessage } = group(jobWrite());
  expect(messages.map(({ subject }) => subject)).toEqual([
    "drover.default.0.job.ready.mail/send.bulk.9.k1.0",
  ]);
  expect(messages.map(headersIn)).toEqual([{ "Drover-Rev": "4", "Drover-Nonce": "boot-1", ...check }]);
  expect({ atomic, jobMessage }).toEqual({ atomic: false, jobMessage: 0 });
});

describe("a schedule", () => {
  const write = jobWrite({ phase: "later", fireAt: now + 5 });
  const [message] = group(write).messages;

  test("fires into due and never into a lane", () => {
    expect(message && headersIn(message)).toMatchObject({
      "Nats-Schedule": "@at 2026-01-01T00:00:00.005Z",
      "Nats-Schedule-Target": "drover.default.0.job.due.mail/send.bulk.9.k1.0",
    });
  });

  test("lies on a subject of its own, which the one who ends it can name", () => {
    expect(message?.subject).toBe("drover.default.0.job.later.mail/send.bulk.9.k1.boot-1");
    const purges = { phase: "later", ...place, nonce: "boot-1" } as const;
    const [ending] = group(jobWrite({ phase: "cancelled", purges })).messages;
    expect(ending && headersIn(ending)).toMatchObject({
      "Nats-Scheduler": message?.subject,
      "Nats-Schedule-Next": "purge",
    });
  });
});

describe("indivisible, even alone, is", () => {
  test("what ends a schedule: as a plain publish it would be two steps on disk", () => {
    const purges = { phase: "held-a", ...place, nonce: "boot-0" } as const;
    expect(group(jobWrite({ phase: "succeeded", purges })).atomic).toBe(true);
  });

  test("a cancelled ticket: its tombstone goes first and carries the check for both", () => {
    const tombstone: Write = { kind: "tombstone", phase: "ready", ...place };
    const { messages, atomic, jobMessage } = group(jobWrite({ phase: "cancelled" }), tombstone);
    expect(messages.map(({ subject }) => subject)).toEqual([
      "drover.default.0.job.ready.mail/send.bulk.9.k1.0",
      "drover.default.0.job.cancelled.mail/send.bulk.9.k1.0",
    ]);
    expect(messages[0]?.data).toHaveLength(0);
    expect(messages.map(headersIn)).toEqual([
      { ...check, "Nats-TTL": "5s" },
      { "Drover-Rev": "4", "Drover-Nonce": "boot-1" },
    ]);
    expect({ atomic, jobMessage }).toEqual({ atomic: true, jobMessage: 1 });
  });

  test("a payload beside its job", () => {
    const data = new Uint8Array(20_000);
    const { messages, atomic, jobMessage } = group({ kind: "body", data }, jobWrite());
    expect(messages.map(({ subject }) => subject)).toEqual([
      "drover.default.0.job.ready.mail/send.bulk.9.k1.0",
      "drover.default.0.body.mail/send.k1",
    ]);
    expect(messages[1]?.data).toBe(data);
    expect(headersIn(messages[0] as Outgoing)).toMatchObject(check);
    expect(headersIn(messages[1] as Outgoing)).not.toHaveProperty("Nats-Expected-Last-Subject-Sequence");
    expect({ atomic, jobMessage }).toEqual({ atomic: true, jobMessage: 0 });
  });
});

test("a tombstone goes by itself, wherever no sweep comes by soon", () => {
  for (const phase of ["kept", "ready", "failed"] as const) {
    const [first] = group({ kind: "tombstone", phase, ...place }, jobWrite()).messages;
    expect(first && headersIn(first)).toEqual({ ...check, "Nats-TTL": "5s" });
  }
});

test("a record with a retention of its own says it in whole seconds, never less than asked", () => {
  const [message] = group(jobWrite({ phase: "kept", keepFor: 600_001 })).messages;
  expect(message && headersIn(message)).toMatchObject({ "Nats-TTL": "601s" });
});

test("what a group takes of a batch is not less than its bytes", () => {
  const data = new Uint8Array(20_000);
  const { bytes, messages } = group(jobWrite(), { kind: "body", data });
  const sent = messages.reduce((sum, m) => sum + m.data.length + m.head.length, 0);
  expect(bytes).toBeGreaterThanOrEqual(sent);
});
