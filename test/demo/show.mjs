// What the acts share: the client, the notes they leave on the status line, and the list of all jobs for the last act.
import { strict as assert } from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";

/** For anything that is waited for, ms. Plenty, for machines that are busy with something else. */
const patience = 60_000;

export class Show {
  /** Ids of every job, whoever submitted it. */
  jobs = new Set();
  #notes = new Map();

  /** `languages`: those that have workers here; `texts`: what textsOf() gave. */
  constructor({ client, stage, screen, languages, texts }) {
    Object.assign(this, { client, stage, screen, languages, texts });
  }

  /** What an act is at, for the status line; nothing = it has ended. */
  note(act, text) {
    if (text === undefined) this.#notes.delete(act);
    else this.#notes.set(act, text);
  }

  get notes() {
    return [...this.#notes.values()];
  }

  async submit(task, payload, options) {
    const job = await this.client.submit(task, payload, options);
    this.jobs.add(job.id);
    return job;
  }

  /** All of these payloads, in order. */
  async submitAll(task, payloads, options) {
    const items = payloads.map((payload) => ({ task, payload, ...options }));
    const results = await this.client.submitBatch(items);
    return results.map((result) => {
      if (!result.ok) throw result.error;
      this.jobs.add(result.job.id);
      return result.job;
    });
  }

  /** The job once it has ended; `state` is what it has to be then. */
  async ended(job, state = "SUCCEEDED") {
    const status = await job.wait({ timeout: patience });
    const why = status.failure ? ` (${status.failure.type}: ${status.failure.message})` : "";
    assert.equal(status.state, state, `${job.id} is ${status.state}${why}, not ${state}`);
    return status;
  }

  /** Waits until `found()` gives something. */
  async until(what, found) {
    const giveUpAt = performance.now() + patience;
    for (;;) {
      const value = await found();
      if (value) return value;
      if (performance.now() > giveUpAt) throw new Error(`waited ${patience / 1000} s for ${what}`);
      await sleep(50);
    }
  }

  async running(job) {
    return this.until(`${job.id} to run`, async () => {
      const status = await job.status();
      assert.ok(!status.finished, `${job.id} has ended as ${status.state} before it was seen running`);
      return status.state === "RUNNING" && status;
    });
  }
}
