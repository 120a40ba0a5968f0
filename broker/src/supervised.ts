// A broker process that a supervisor started (`processes.ts`): what the two say to one another, and the supervisor's
// nats-server as such a process sees it.

import cluster from "node:cluster";
import type { OwnServer } from "./jetstream/storage.js";

/** Where a process listens. */
export interface Ports {
  grpcPort: number;
  httpPort: number;
}

/** What a process tells its supervisor. */
export type News =
  | { ready: Ports }
  /** `known`: restarts that it had heard of when it found the trouble. */
  | { restartNats: { why: string; known: number } };
/** What it is told by it. `times`: restarts there have been. */
export type Order = { stop: true } | { natsRestarted: { maxFileStore: number; times: number } };

/** What a process has to know that no setting says. */
export interface Share {
  /** Of the supervisor's nats-server. */
  storeDir: string;
  maxFileStore: number;
}

/** In a process that a supervisor started. */
export interface Supervised {
  /** The supervisor's nats-server, if it has one. */
  readonly own: OwnServer | undefined;
  ready(ports: Ports): void;
  /** Calls back once, when it is told to stop or the supervisor is gone. */
  onStop(stop: () => void): void;
}

/** Undefined: this process has no supervisor. `share` is what the supervisor gave it on the command line. */
export function supervisedBy(share: string | undefined): Supervised | undefined {
  if (!cluster.isWorker) return undefined;
  return {
    own: share === undefined ? undefined : new SupervisedServer(JSON.parse(share) as Share),
    ready: (ready) => tell({ ready }),
    onStop: (stop) => {
      let told = false;
      const once = () => {
        if (!told) stop();
        told = true;
      };
      process.on("message", (message: Order) => {
        if ("stop" in message) once();
      });
      process.on("disconnect", once);
    },
  };
}

/** The supervisor's nats-server, seen from one of its processes. */
class SupervisedServer implements OwnServer {
  readonly storeDir: string;
  maxFileStore: number;
  #restarted: (() => void)[] = [];
  /** Restarts that this process has heard of. */
  #known = 0;

  constructor(share: Share) {
    this.storeDir = share.storeDir;
    this.maxFileStore = share.maxFileStore;
    process.on("message", (message: Order) => {
      if (!("natsRestarted" in message)) return;
      this.maxFileStore = message.natsRestarted.maxFileStore;
      this.#known = message.natsRestarted.times;
      for (const done of this.#restarted.splice(0)) done();
    });
  }

  restart(why: string): Promise<void> {
    return new Promise((resolve) => {
      this.#restarted.push(resolve);
      tell({ restartNats: { why, known: this.#known } });
    });
  }
}

function tell(told: News): void {
  if (process.connected) process.send?.(told);
}
