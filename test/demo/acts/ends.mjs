// How jobs end when they do not simply succeed, and what becomes of them when their worker dies.
import { strict as assert } from "node:assert";
import { count, many } from "../screen.mjs";

export const deadLetter = {
  title: "a job fails for good",
  by: ["go"],
  async run(show) {
    const job = await show.submit("letter.send", { to: "nobody" });
    const { failure, failures, history } = await show.ended(job, "FAILED");
    assert.equal(failure.reason, "PERMANENT");
    assert.equal(failures, 1, "it was tried again");
    assert.equal(history.length, 1);
    const letters = [];
    for await (const dead of show.client.list({ state: "FAILED", includePayload: true })) letters.push(dead);
    assert.deepEqual(
      letters.map(({ id }) => id),
      [job.id],
      "the list of dead letters is wrong",
    );
    assert.deepEqual(letters[0].payload, { to: "nobody" }, "the dead letter has lost its payload");
    return `dead letter, kept with its payload: ${failure.reason} ${failure.type}: ${failure.message}`;
  },
};

export const cancel = {
  title: "a running job is cancelled",
  by: ["python"],
  async run(show) {
    const job = await show.submit("text.proofread", { pages: 10_000, seconds_per_page: 0.1 });
    const { worker } = await show.running(job);
    const asked = performance.now();
    const { outcome } = await job.cancel("nobody will read it");
    assert.equal(outcome, "REQUESTED");
    await show.ended(job, "CANCELLED");
    const took = Math.round(performance.now() - asked);
    // Without an answer from the worker the broker would have ended it, but only after 10 s.
    assert.ok(took < 9_500, `the worker did not hear of it: that took ${took} ms`);
    const waiting = await show.submit(
      "text.proofread",
      { pages: 1, seconds_per_page: 0 },
      { delay: 3_600_000 },
    );
    assert.equal((await waiting.cancel()).outcome, "CANCELLED");
    await show.ended(waiting, "CANCELLED");
    return `${worker} was told and ended it, ${took} ms in all; one that waited for its hour at once`;
  },
};

export const once = {
  title: "submitted twice, run once",
  by: ["go"],
  async run(show) {
    const order = () =>
      show.submit("text.pack", { document: "order", number: 4711, text: "twelve" }, { key: "order-4711" });
    const [first, second] = [await order(), await order()];
    assert.equal(second.id, first.id);
    assert.deepEqual([first.deduplicated, second.deduplicated], [false, true]);
    const { attempt } = await show.ended(first);
    assert.equal(attempt, 1);
    return `both submits of order-4711 were answered with ${first.id}`;
  },
};

export const kill = {
  title: "a worker is killed (SIGKILL)",
  by: ["python"],
  async run(show) {
    const { client, stage, screen } = show;
    const [victim, other] = ["python-1", "python-2"];
    const jobs = await show.submitAll("text.proofread", Array(10).fill({ pages: 8, seconds_per_page: 0.3 }));
    const heldBy = async (worker) =>
      (await client.inspect.active()).items.filter((job) => job.worker === worker);
    await show.until(`${victim} to have jobs`, async () => (await heldBy(victim)).length > 0);
    // Frozen first, so that nothing ends between counting and killing.
    stage.signal(victim, "SIGSTOP");
    const held = await heldBy(victim);
    stage.signal(victim, "SIGKILL");
    const killedAt = performance.now();
    screen.say(`killed ${victim} in the middle of ${many(held.length, "job")}`);
    let done = 0;
    const ended = await Promise.all(
      jobs.map(async (job) => {
        const status = await show.ended(job);
        show.note(this.title, `after the kill: ${count(++done)} of ${count(jobs.length)} jobs`);
        return status;
      }),
    );
    // The frozen worker may have been sent more: it is the records that say whose attempts broke off.
    const orphans = ended.filter(({ crashes }) => crashes > 0);
    const known = new Set(orphans.map(({ id }) => id));
    for (const { jobId } of held) assert.ok(known.has(jobId), `${jobId} was not run again`);
    for (const { id, worker, history, failures } of ended) {
      const course = history.map((attempt) => `${attempt.outcome} on ${attempt.worker}`);
      const wanted = known.has(id)
        ? [`CRASHED on ${victim}`, `SUCCEEDED on ${other}`]
        : [`SUCCEEDED on ${worker}`];
      assert.deepEqual(course, wanted, `${id} went another way`);
      assert.equal(failures, 0, `${id} was counted as failed`);
    }
    const seconds = ((performance.now() - killedAt) / 1000).toFixed(1);
    return `its ${many(orphans.length, "job")} ran again on ${other}, counted as crashes, not failures; all done ${seconds} s later`;
  },
};

export const books = {
  title: "no job is lost, none is there twice",
  by: [],
  async run(show) {
    const listed = [];
    for await (const job of show.client.list({ pageSize: 1_000 })) listed.push(job);
    const open = listed.filter(({ finished }) => !finished);
    assert.deepEqual(
      open.map(({ id, state }) => `${id} ${state}`),
      [],
      "some have not ended",
    );
    assert.deepEqual(
      listed.map(({ id }) => id).sort(),
      [...show.jobs].sort(),
      "the broker's list is another one",
    );
    const number = (state) => listed.filter((job) => job.state === state).length;
    return `${count(listed.length)} jobs submitted; ${count(number("SUCCEEDED"))} succeeded, ${number("FAILED")} failed, ${number("CANCELLED")} cancelled`;
  },
};
