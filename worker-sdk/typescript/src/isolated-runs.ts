// The worker's end of isolated runs: threads and processes, one run in each at a time, kept for the next run of the same
// module. What ends without a report is told as what it was; what has to end is ended.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker as Thread } from "node:worker_threads";
import { Lease } from "@drover/proto/v1/worker_service";
import type { ProgressReport } from "./context.js";
import { type Interrupted, IsolatedRunEnded } from "./errors.js";
import type { FlowInput } from "./inputs.js";
import { type FromIsolated, moduleOf, type ToIsolated } from "./isolation.js";
import type { Logger } from "./log.js";
import type { Report } from "./outcomes.js";
import type { AnyTask } from "./task.js";

/** What an idle one waits for the next run, in ms. */
const IDLE_TIMEOUT = 60_000;

export interface IsolatedRun {
  /** Rejects with IsolatedRunEnded. */
  readonly report: Promise<Report>;
  /** Nothing where it has ended. */
  interrupt(why: Interrupted): void;
  /** Ends it for real, whatever it does. Nothing where it has ended. */
  terminate(): void;
}

/** What a run tells meanwhile. */
export interface RunEvents {
  readonly logger: Logger;
  readonly onProgress: (report: ProgressReport) => void;
  readonly inputs: () => Promise<readonly FlowInput[]>;
}

export class IsolatedRuns {
  readonly #idle = new Map<string, Place[]>();
  readonly #places = new Set<Place>();
  #closed = false;

  start(task: AnyTask, lease: Lease, events: RunEvents): IsolatedRun {
    const place = this.#take(task);
    // Its place may have been given to the next run by then.
    let over = false;
    const report = place.run(task.name, lease, events).then(({ report, last }) => {
      over = true;
      if (!last) this.#keep(place);
      return report;
    });
    return {
      report,
      interrupt: (why) => void (over || place.send({ kind: "interrupt", why: why.name })),
      terminate: () => void (over || place.end()),
    };
  }

  /** Ends all of them. */
  close(): void {
    this.#closed = true;
    for (const place of this.#places) place.end();
  }

  #take(task: AnyTask): Place {
    const { isolation = "process" } = task.options;
    const module = moduleOf(task);
    const kind = `${isolation} ${module}`;
    for (;;) {
      const place = this.#idle.get(kind)?.pop();
      if (place === undefined) break;
      if (place.wake()) return place;
    }
    const place = new Place(kind, isolation === "thread" ? inThread(module) : inProcess(module), () =>
      this.#places.delete(place),
    );
    this.#places.add(place);
    return place;
  }

  #keep(place: Place): void {
    if (this.#closed) return place.end();
    place.rest(IDLE_TIMEOUT);
    const idle = this.#idle.get(place.kind);
    if (idle === undefined) this.#idle.set(place.kind, [place]);
    else idle.push(place);
  }
}

type Reported = Extract<FromIsolated, { kind: "report" }>;

/** A thread or a process, whichever. */
interface Vessel {
  send(message: ToIsolated): void;
  end(): void;
  /** Whether it keeps the worker's process alive. */
  hold(held: boolean): void;
  listen(hear: (message: FromIsolated) => void, ended: (how: string) => void): void;
}

/** Where isolated runs take place, one after the other. */
class Place {
  readonly #vessel: Vessel;
  #events: RunEvents | undefined;
  #resolve: ((reported: Reported) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(
    readonly kind: string,
    vessel: Vessel,
    ended: () => void,
  ) {
    this.#vessel = vessel;
    vessel.listen(
      (message) => this.#hear(message),
      (how) => {
        if (this.#over) return;
        this.#over = true;
        clearTimeout(this.#timer);
        ended();
        this.#reject?.(new IsolatedRunEnded(`the handler's ${how} before it reported`));
      },
    );
  }

  run(task: string, lease: Lease, events: RunEvents): Promise<Reported> {
    this.#events = events;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.send({ kind: "run", task, lease: Lease.encode(lease).finish() });
    });
  }

  send(message: ToIsolated): void {
    if (!this.#over) this.#vessel.send(message);
  }

  end(): void {
    if (!this.#over) this.#vessel.end();
  }

  rest(ms: number): void {
    this.#events = undefined;
    this.#resolve = undefined;
    this.#reject = undefined;
    this.#vessel.hold(false);
    this.#timer = setTimeout(() => this.end(), ms);
    this.#timer.unref();
  }

  /** Whether it is still there. */
  wake(): boolean {
    clearTimeout(this.#timer);
    if (!this.#over) this.#vessel.hold(true);
    return !this.#over;
  }

  #hear(message: FromIsolated): void {
    switch (message.kind) {
      case "report":
        return this.#resolve?.(message);
      case "progress":
        return this.#events?.onProgress(message);
      case "log":
        return this.#events?.logger[message.level](JSON.parse(message.fields), message.message);
      case "inputs":
        this.#events?.inputs().then(
          (inputs) => this.send({ kind: "inputs", inputs, error: "" }),
          (error: Error) => this.send({ kind: "inputs", inputs: undefined, error: error.message }),
        );
    }
  }
}

const main = new URL("./isolated-main.js", import.meta.url);

function inProcess(module: string): Vessel {
  // Of a group of its own: what the handler has started ends with it, and a terminal's Ctrl-C is for the worker.
  const child = fork(fileURLToPath(main), [module], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    detached: true,
  });
  return {
    // One that is just ending says so by its exit.
    send: (message) => void child.send(message, () => {}),
    end: () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        child.kill("SIGKILL");
      }
    },
    hold: (held) => {
      for (const handle of [child, child.channel]) held ? handle?.ref() : handle?.unref();
    },
    listen: (hear, ended) => {
      child.on("message", hear).on("exit", (code, signal) => {
        ended(signal === null ? `process ended with exit code ${code}` : `process was ended by ${signal}`);
      });
      child.on("error", (error) => ended(`process failed (${error.message})`));
    },
  };
}

function inThread(module: string): Vessel {
  const thread = new Thread(main, { argv: [module] });
  return {
    send: (message) => thread.postMessage(message),
    end: () => void thread.terminate(),
    hold: (held) => (held ? thread.ref() : thread.unref()),
    listen: (hear, ended) => {
      thread.on("message", hear).on("exit", (code) => ended(`thread ended with exit code ${code}`));
      thread.on("error", (error: NodeJS.ErrnoException) => {
        ended(`thread failed (${error.code ?? error.name}: ${error.message})`);
      });
    },
  };
}
