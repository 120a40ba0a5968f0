// What runs when: priorities, due times, retries, progress.
import { strict as assert } from "node:assert";
import { many } from "../screen.mjs";

export const priority = {
  title: "high priority overtakes low",
  by: ["typescript"],
  async run(show) {
    // While the only press is busy with the cover, a pile builds up behind it, the leisurely things first.
    const cover = await show.submit(
      "press.print",
      { title: "cover", milliseconds: 60_000 },
      { queue: "press" },
    );
    await show.running(cover);
    const titled = (word) => [1, 2, 3, 4, 5].map((number) => ({ title: `${word} ${number}` }));
    const low = await show.submitAll("press.print", titled("low"), { queue: "press", priority: 1 });
    const high = await show.submitAll("press.print", titled("high"), { queue: "press", priority: 9 });
    await cover.cancel("the pile is high enough");
    const printed = (await Promise.all([...low, ...high].map((job) => show.ended(job)))).map(
      ({ result }) => result,
    );
    const order = printed.sort((a, b) => a.number - b.number).map((result) => result.title);
    const strict = order.every((name, place) => name.startsWith("high") === place < high.length);
    assert.ok(strict, `low before high: ${order.join(", ")}`);
    return `submitted low 1-5, then high 1-5; printed ${order.join(", ")}`;
  },
};

export const delay = {
  title: "a delayed job waits",
  by: ["typescript"],
  async run(show) {
    const wait = 2_500;
    const job = await show.submit("press.print", { title: "delayed" }, { queue: "press", delay: wait });
    assert.equal(job.submittedAs, "SCHEDULED");
    const { submittedAt, startedAt } = await show.ended(job);
    const waited = startedAt - submittedAt;
    assert.ok(waited >= wait, `due after ${wait} ms, it ran after ${waited} ms`);
    return `due after ${wait} ms, it ran ${waited - wait} ms later, not a moment before`;
  },
};

export const retry = {
  title: "a job fails twice, then succeeds",
  by: ["go"],
  async run(show) {
    const retry = { retries: 3, initialDelay: 400, factor: 2, jitter: 0 };
    const job = await show.submit("letter.send", { to: "ada@example.org" }, { retry });
    const { history, failures, result } = await show.ended(job);
    const outcomes = history.map(({ outcome }) => outcome);
    assert.deepEqual(outcomes, ["FAILED", "FAILED", "SUCCEEDED"]);
    assert.equal(failures, 2);
    assert.equal(result, "sent to ada@example.org");
    const waits = [1, 2].map((attempt) => history[attempt].startedAt - history[attempt - 1].endedAt);
    assert.ok(waits[0] >= 400 && waits[1] >= 800, `it waited ${waits.join(" and ")} ms, not 400 and 800`);
    return `"${history[0].failure.message}" twice, tried again after ${waits.join(" and ")} ms (policy: 400, then double)`;
  },
};

export const progress = {
  title: "a running job tells how far it is",
  by: ["python"],
  async run(show) {
    const job = await show.submit("text.proofread", { pages: 10, seconds_per_page: 0.2 });
    const seen = [];
    for await (const { progress } of job.watch()) {
      const value = progress?.value ?? 0;
      if (value <= (seen.at(-1) ?? 0)) continue;
      seen.push(value);
      const tenths = Math.round(value * 10);
      show.note(this.title, `proofreading ${"▰".repeat(tenths)}${"▱".repeat(10 - tenths)}`);
    }
    await show.ended(job);
    assert.ok(seen.length >= 3, `only ${seen.length} reports of progress were seen`);
    return `${many(seen.length, "report")} seen from outside: ${seen.map((value) => `${Math.round(value * 100)} %`).join(", ")}`;
  },
};
