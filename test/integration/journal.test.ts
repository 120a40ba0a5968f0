// The only writer of jobs: nothing acknowledged is lost, nothing is stored twice, and one bad change harms no other.

import { createInbox } from "nats";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Change, Conflict, type Write } from "../../broker/src/app/ports.js";
import { silent } from "../../broker/src/app/telemetry.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Refusal } from "../../broker/src/core/errors.js";
import { type JobRef, newJob } from "../../broker/src/core/job.js";
import { makeKey } from "../../broker/src/core/names.js";
import { StreamJournal } from "../../broker/src/jetstream/journal.js";
import { parseJobSubject } from "../../broker/src/jetstream/subjects.js";
import { Wire } from "../../broker/src/jetstream/wire.js";
import { ack, leaseOne, refused, specOf, stateOf, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { until } from "../support/until.js";

let made = 0;
/** A key as SDKs make them: batches of these are not read first. */
const madeKey = () => {
  made += 1;
  return makeKey(Date.now(), Buffer.from(made.toString().padStart(10, "0")));
};

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;
  let task: string;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker();
  });
  beforeEach(() => {
    task = freshTask();
  });
  afterAll(() => scene.close());

  const journal = () => broker.parts.store.journal;

  function firstWrite(ref: JobRef): Write {
    const spec = { ...specOf(ref), submittedAt: Date.now() };
    const { queue, priority } = spec;
    const job = newJob(spec, "");
    return { kind: "job", phase: "ready", job, rev: 1, queue, priority, fireAt: 0, keepFor: 0 };
  }
  /** A job's first message, written past the use cases. */
  function create(ref: JobRef, expected = 0, body?: Uint8Array): Change {
    const writes = [firstWrite(ref)];
    if (body !== undefined) writes.push({ kind: "body", data: body });
    return { ref, expected, nonce: journal().nonce(), writes };
  }
  const outcome = (change: Change) =>
    journal()
      .commit(change)
      .then(
        () => "stored",
        (error: unknown) => (error instanceof Conflict ? "conflict" : String(error)),
      );

  /** What the server is sent while `work` goes on: batch (empty = a plain publish) and job of each message. */
  async function overheard(work: () => Promise<unknown>) {
    const heard: { batch: string; commit: boolean; job: string; phase: string }[] = [];
    const subscription = scene.nc.subscribe("drover.default.*.job.>", {
      callback: (_, { subject, headers }) => {
        const parts = parseJobSubject(subject);
        heard.push({
          batch: headers?.get("Nats-Batch-Id") ?? "",
          commit: headers?.get("Nats-Batch-Commit") === "1",
          job: `${parts?.task}~${parts?.key}`,
          phase: parts?.phase ?? "",
        });
      },
    });
    await scene.nc.flush();
    await work();
    await scene.nc.flush();
    subscription.unsubscribe();
    return heard;
  }

  test("a change that expects another sequence than the job's is a conflict and changes nothing", async () => {
    const ref = { task, key: "k" };
    const seq = await journal().commit(create(ref));
    for (const expected of [0, seq - 1, seq + 1]) {
      await expect(journal().commit(create(ref, expected))).rejects.toThrow(Conflict);
    }
    expect((await scene.lying(ref)).map((message) => message.seq)).toEqual([seq]);
    expect(await journal().commit(create(ref, seq))).toBeGreaterThan(seq);
  });

  test("many changes that claim one unique key at once are never in one batch, and one of them is stored", async () => {
    const claims: string[] = [];
    const claim = broker.parts.store.subjects.claim(task, "unique");
    const subscription = scene.nc.subscribe(claim, {
      callback: (_, { headers }) => void claims.push(headers?.get("Nats-Batch-Id") ?? ""),
    });
    await scene.nc.flush();
    const claiming = (key: string): Change => {
      const change = create({ task, key });
      const holder = { key, until: 0 };
      change.writes.push({ kind: "claim", key: "unique", holder, expected: 0, keepFor: 0 });
      return change;
    };
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => outcome(claiming(`k${i}`))));
    await scene.nc.flush();
    subscription.unsubscribe();
    expect(outcomes.filter((each) => each === "stored")).toHaveLength(1);
    expect(outcomes.filter((each) => each === "conflict")).toHaveLength(19);
    expect(claims).toHaveLength(20);
    expect(new Set(claims).size).toBe(20);
  });

  test("the check covers the job in every queue, priority and phase", async () => {
    const key = "same";
    await submit(broker, { task, key, queue: "a", priority: 1 });
    for (const other of [{ queue: "b" }, { priority: 9 }, { delay: 60_000 }]) {
      expect(await submit(broker, { task, key, ...other })).toMatchObject({ deduplicated: true });
    }
    expect(await scene.lying({ task, key })).toHaveLength(1);
  });

  test("a repeated key is answered with the job that is there, or refused where that is asked for", async () => {
    const key = "invoice-7";
    expect(await submit(broker, { task, key })).toMatchObject({ deduplicated: false });
    expect(await submit(broker, { task, key })).toMatchObject({ deduplicated: true, state: "READY" });
    const [answer] = await broker.api.jobs.submit([specOf({ task, key })], "reject");
    expect(answer).toMatchObject({ reason: "JOB_EXISTS" });
    expect(await submit(broker, { task: freshTask(), key })).toMatchObject({ deduplicated: false });
  });

  test("two submits of one key in one flush make one job", async () => {
    for (const key of ["chosen", madeKey()]) {
      const others = Array.from({ length: 30 }, () => submit(broker, { task }));
      const twins = await Promise.all([
        submit(broker, { task, key }),
        submit(broker, { task, key, priority: 7 }),
      ]);
      expect(twins.map(({ deduplicated }) => deduplicated).sort()).toEqual([false, true]);
      expect(await scene.lying({ task, key })).toHaveLength(1);
      await Promise.all(others);
    }
  });

  test("no batch ever holds two changes of one job", async () => {
    const refs = Array.from({ length: 40 }, () => ({ task, key: madeKey() }));
    const changes = refs.flatMap((ref) => [create(ref), create(ref), create(ref)]);
    const answers: string[] = [];
    const heard = await overheard(async () => {
      answers.push(...(await Promise.all(changes.map(outcome))));
    });
    expect(answers.filter((answer) => answer === "stored")).toHaveLength(40);
    expect(answers.filter((answer) => answer === "conflict")).toHaveLength(80);
    const members = heard.filter(({ batch }) => batch !== "").map(({ batch, job }) => `${batch} ${job}`);
    expect(members.length).toBeGreaterThan(40);
    expect(new Set(members).size).toBe(members.length);
    for (const ref of refs) expect(await scene.lying(ref)).toHaveLength(1);
  });

  test.each([
    { kind: "made", keyOf: madeKey },
    { kind: "chosen", keyOf: () => `chosen-${made++}` },
  ])("one known key among 500 $kind ones fails nobody else", async ({ keyOf }) => {
    const known = { task, key: keyOf() };
    await journal().commit(create(known));
    const refs = Array.from({ length: 500 }, (_, i) => (i === 333 ? known : { task, key: keyOf() }));
    const answers: string[] = [];
    const heard = await overheard(async () => {
      answers.push(...(await Promise.all(refs.map((ref) => outcome(create(ref))))));
    });
    expect(answers.map((answer, i) => answer === (i === 333 ? "conflict" : "stored"))).not.toContain(false);
    expect(await scene.count(task, scene.lane(task).filter)).toBe(500);
    // Halved, not scattered: far fewer writes than changes.
    const writes = new Set(heard.map(({ batch, job }) => (batch === "" ? job : batch))).size;
    expect(writes).toBeLessThan(60);
  });

  test("a change is stored whole or not at all, whatever its batch meets", async () => {
    const known = { task, key: madeKey() };
    await journal().commit(create(known));
    const body = Buffer.alloc(20_000);
    const refs = Array.from({ length: 30 }, (_, i) => (i === 10 ? known : { task, key: madeKey() }));
    const answers = await Promise.all(refs.map((ref) => outcome(create(ref, 0, body))));
    expect(answers.filter((answer) => answer === "stored")).toHaveLength(29);
    for (const [i, ref] of refs.entries()) {
      expect(await scene.body(ref)).toBe(i === 10 ? undefined : body.length);
    }
  });

  test("a write that ends a schedule goes as a batch, even alone", async () => {
    const { ref } = await submit(broker, { task, delay: 60_000 });
    const heard = await overheard(() => broker.api.jobs.cancel(ref, ""));
    expect(heard).toMatchObject([{ commit: true, phase: "cancelled" }]);
  });

  test("at rest a change is published at once, under load changes share batches", async () => {
    await submit(broker, { task });
    const alone = await overheard(() => submit(broker, { task }));
    expect(alone).toMatchObject([{ batch: "" }]);
    const many = await overheard(() =>
      Promise.all(Array.from({ length: 300 }, () => submit(broker, { task }))),
    );
    expect(new Set(many.map(({ batch }) => batch)).size).toBeLessThan(30);
  });

  test("above its bound the journal refuses submits while outcomes still find room", async () => {
    const { ref } = await submit(broker, { task });
    const { token } = await leaseOne(broker, task);
    const { pid } = scene.nats;
    if (pid === undefined) throw new Error("no nats-server");
    process.kill(pid, "SIGSTOP");
    let answers: Promise<string[]>;
    let report: Promise<string>;
    try {
      const specs = Array.from({ length: 19_000 }, () => specOf({ task }));
      answers = broker.api.jobs
        .submit(specs, "return")
        .then((all) => all.map((answer) => (answer instanceof Refusal ? answer.reason : "stored")));
      const full = await until("the journal to be full", () => journal().depth >= 16_000 && journal().depth);
      report = ack(broker, token);
      await until("the report to wait as well", () => journal().depth === full + 1);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    expect(await report).toBe("SUCCEEDED");
    const all = await answers;
    expect([...new Set(all)].sort()).toEqual(["QUEUE_FULL", "stored"]);
    const stored = all.filter((answer) => answer === "stored").length;
    expect(stored).toBeGreaterThanOrEqual(16_000);
    const { stream, name } = scene.lane(task);
    // The ack of the reported one's ticket is nobody's to wait for.
    await until("the lane to hold what was stored, and no more", async () => {
      const { num_pending, num_ack_pending } = await scene.jsm.consumers.info(stream, name);
      return num_pending + num_ack_pending === stored;
    });
    expect(await stateOf(broker, ref)).toBe("SUCCEEDED");
  }, 60_000);

  test("only a batch that a power cut may tear is staged in memory: each of its changes is one message", async () => {
    const { nc, subjects, jobs, storage } = broker.parts.store;
    const staged: string[] = [];
    const staging = {
      inMemory: (stream: string, _batch: string, bytes: number) => {
        staged.push(`${stream} ${bytes > 0}`);
      },
      close: () => undefined,
    };
    const options = { inbox: createInbox(), boot: "staging-", staging };
    const careful = new StreamJournal(nc, new Wire(nc), subjects, jobs, silent, storage, options);
    const stream = subjects.stream(subjects.shard(task));
    const body = Buffer.from("a large payload");
    const singles = (from: string) =>
      Array.from({ length: 20 }, (_, i) => create({ task, key: `${from}${i}` }));
    await Promise.all(singles("single").map((change) => careful.commit(change)));
    expect(staged).toEqual([`${stream} true`]);
    const mixed = [...singles("mixed"), create({ task, key: "group" }, 0, body)];
    await Promise.all(mixed.map((change) => careful.commit(change)));
    expect(staged).toHaveLength(1);
    careful.close();
  });

  test("a change that the store does not take in time is refused as STORE_UNAVAILABLE", async () => {
    const { nc, subjects, jobs, storage } = broker.parts.store;
    const options = { inbox: createInbox(), boot: "impatient-", patience: 3_000, answerWithin: 1_500 };
    const impatient = new StreamJournal(nc, new Wire(nc), subjects, jobs, silent, storage, options);
    impatient.disconnected();
    const early = impatient.commit(create({ task, key: "early" }));
    expect(await refused(early)).toBe("STORE_UNAVAILABLE");
    impatient.reconnected();
    await impatient.commit(create({ task, key: "late" }));
    expect(await scene.lying({ task, key: "early" })).toEqual([]);
    impatient.close();
    expect(await refused(impatient.commit(create({ task, key: "after" })))).toBe("STORE_UNAVAILABLE");
    expect(succeeded((await broker.api.jobs.submit([specOf({ task })], "return"))[0]).state).toBe("READY");
  });
});
