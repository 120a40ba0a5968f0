// A ledger on a store that says to each write what a test tells it to, for the ways on which an answer must come exactly
// once whatever that is.

import { Agenda } from "../../broker/src/app/agenda.js";
import { Hints } from "../../broker/src/app/hints.js";
import { Intake } from "../../broker/src/app/intake.js";
import { Ledger } from "../../broker/src/app/ledger.js";
import { type Change, Conflict, type Jobs, type Journal } from "../../broker/src/app/ports.js";
import { Refusal } from "../../broker/src/core/errors.js";
import { jobId } from "../../broker/src/core/names.js";
import { noJob } from "../../broker/src/core/snapshot.js";
import { now, type stored } from "./stored-jobs.js";

/** Where it is stored, that somebody else wrote the job, that the store cannot be reached, or that something broke. */
export type Answer = number | "conflict" | "away" | "broken";

export class ScriptedStore {
  /** To the writes to come; a write without one is never answered. */
  answers: Answer[] = [];
  readonly writes: Change[] = [];
  /** What a read finds. */
  current: { current: ReturnType<typeof stored> | undefined; last: number } = noJob;
  /** Jobs whose lanes were told that something came. */
  filled = 0;
  readonly hints: Hints;
  readonly intake: Intake;
  readonly ledger: Ledger;

  constructor() {
    const journal: Journal = {
      nonce: () => `n${this.writes.length}`,
      commit: (change) => new Promise((done, failed) => journal.write(change, done, failed)),
      write: (change, done, failed) => {
        this.writes.push(change);
        const answer = this.answers.shift();
        if (answer === "conflict") failed(new Conflict(change.ref));
        else if (answer === "away") failed(new Refusal("STORE_UNAVAILABLE", `${jobId(change.ref)}: away`));
        else if (answer === "broken") failed(new Error("a bug"));
        else if (answer !== undefined) done(answer);
      },
    };
    const jobs: Jobs = {
      read: async (refs) => refs.map(() => ({ ...noJob, ...this.current })),
      body: async () => undefined,
      dropBody() {},
      list: async () => ({ jobs: [], next: undefined }),
      watch: () => () => undefined,
    };
    this.hints = new Hints(jobs, {
      self: "a",
      all: () => ["a"],
      ask: async () => ({ answers: [], silent: 0 }),
      answer() {},
      tell() {},
      hear() {},
    });
    const lanes = { has: () => true, ensure: async () => undefined, filled: () => void this.filled++ };
    const { hints } = this;
    const parts = { journal, jobs, lanes, clock: { now: () => now }, hints, agenda: new Agenda() };
    this.intake = new Intake(parts);
    this.ledger = new Ledger(parts, () => 0.5);
  }

  close(): void {
    this.hints.close();
  }
}

/** Every answer that is given, once all that follows from it has happened; of an error what it says. */
export async function answersTo(begin: (told: (answer: unknown) => void) => void): Promise<unknown[]> {
  const told: unknown[] = [];
  begin((answer) => told.push(answer instanceof Error ? answer.message : answer));
  await new Promise((resolve) => setImmediate(resolve));
  return told;
}
