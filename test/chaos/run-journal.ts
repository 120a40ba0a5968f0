// What the workers of a test wrote down (see journaling-worker.mjs), and what the test saw itself, in one file: the order
// of the lines is the order of events, whoever wrote them.

import { appendFileSync, closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Run {
  job: string;
  attempt: number;
  pid: number;
  /** Place in the journal. */
  start: number;
  /** ms since 1970. */
  startedAt: number;
  end: number | undefined;
  /** How the handler ended; undefined when its process did not live to see it. */
  how: string | undefined;
}

export interface Settlement {
  job: string;
  attempt: number;
  pid: number;
  line: number;
  report: string;
  /** Nothing may run after it. */
  final: boolean;
}

/** The test saw the job in this state, which it cannot leave again. */
export interface Sighting {
  job: string;
  state: string;
  line: number;
}

export class RunJournal {
  readonly dir = mkdtempSync(join(tmpdir(), "drover-chaos-"));
  readonly file = join(this.dir, "runs.tsv");
  readonly #runs = new Runs();
  readonly #fd: number;
  readonly #chunk = Buffer.alloc(64 * 1024);
  #rest = "";

  constructor() {
    appendFileSync(this.file, "");
    this.#fd = openSync(this.file, "r");
  }

  /** Notes that a job was seen to have ended. */
  saw(job: string, state: string): void {
    appendFileSync(this.file, `saw\t0\t${job}\t0\t${state}\n`);
  }

  /** Up to this moment; what is returned grows with the next call. */
  read(): Runs {
    for (;;) {
      const bytes = readSync(this.#fd, this.#chunk);
      if (bytes === 0) return this.#runs;
      const lines = (this.#rest + this.#chunk.toString("latin1", 0, bytes)).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#runs.add(line);
    }
  }

  remove(): void {
    closeSync(this.#fd);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export class Runs {
  readonly all: Run[] = [];
  readonly settlements: Settlement[] = [];
  readonly refusals: { job: string; attempt: number; reason: string }[] = [];
  readonly sightings: Sighting[] = [];
  readonly #byJob = new Map<string, Run[]>();
  readonly #open = new Map<string, Run>();
  #line = 0;

  add(text: string): void {
    const line = this.#line++;
    const [what = "", process = "", job = "", number = "", word = "", last = ""] = text.split("\t");
    const [pid, attempt] = [Number(process), Number(number)];
    const id = `${process} ${job} ${number}`;
    switch (what) {
      case "start": {
        const startedAt = Number(word);
        const run: Run = { job, attempt, pid, start: line, startedAt, end: undefined, how: undefined };
        this.#open.set(id, run);
        this.all.push(run);
        this.#of(job).push(run);
        return;
      }
      case "end": {
        const run = this.#open.get(id);
        if (run !== undefined) Object.assign(run, { end: line, how: word });
        this.#open.delete(id);
        return;
      }
      case "settled":
        this.settlements.push({ job, attempt, pid, line, report: word, final: last === "final" });
        return;
      case "refused":
        this.refusals.push({ job, attempt, reason: word });
        return;
      case "saw":
        this.sightings.push({ job, state: word, line });
        return;
      default:
        throw new Error(`line ${line} of the journal cannot be read: ${text}`);
    }
  }

  of(job: string): readonly Run[] {
    return this.#byJob.get(job) ?? [];
  }

  /** Runs that have begun and not ended, of these processes. */
  open(pids: ReadonlySet<number>): Run[] {
    return [...this.#open.values()].filter(({ pid }) => pids.has(pid));
  }

  /** Handlers that ended with a success. */
  get done(): number {
    return this.all.filter(({ how }) => how === "success").length;
  }

  /** Runs that began although the job's outcome was known: settled with a worker, or seen by the test. */
  afterTheEnd(): string[] {
    const found: string[] = [];
    const begunAfter = (job: string, line: number) => this.of(job).filter((run) => run.start > line);
    for (const { job, line, report, attempt, final } of this.settlements) {
      if (!final) continue;
      for (const run of begunAfter(job, line)) {
        found.push(
          `${job}: attempt ${run.attempt} began after the ${report} of attempt ${attempt} was recorded`,
        );
      }
    }
    for (const { job, line, state } of this.sightings) {
      for (const run of begunAfter(job, line)) {
        found.push(`${job}: attempt ${run.attempt} began after the job was seen to be ${state}`);
      }
    }
    return found;
  }

  #of(job: string): Run[] {
    const runs = this.#byJob.get(job);
    if (runs !== undefined) return runs;
    const fresh: Run[] = [];
    this.#byJob.set(job, fresh);
    return fresh;
  }
}
