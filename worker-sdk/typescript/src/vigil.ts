// Keeps the worker's leases while a handler keeps its event loop busy. Handlers run in the loop that answers the broker's
// pings, and one that computes for longer than a session may be silent would look like one whose worker has died. So a
// thread watches the loop's beat, and when it stops, vouches for what the worker holds, by Extend. As long as all is well
// it sends nothing and is sent nothing: it wakes a few times per session timeout, and connects only when it has to.

import { fileURLToPath } from "node:url";
import { Worker as Thread } from "node:worker_threads";
import { type AccessOptions, metadataOf, type TlsFiles } from "@drover/proto/sdk/access";
import type { Logger } from "./log.js";
import type { Roster } from "./roster.js";
import { shares, type Watch } from "./watch.js";

export interface VigilOptions extends AccessOptions {
  readonly addresses: readonly string[];
  readonly logger: Logger;
}

/** How old the metadata may be that the thread would use, in ms. */
const METADATA_AGE = 30_000;

export class Vigil {
  readonly #options: VigilOptions;
  readonly #roster: Roster;
  #thread: Thread | undefined;
  #beat: NodeJS.Timeout | undefined;
  #watch: { readonly address: string; readonly silence: number } | undefined;
  #toldAt = 0;

  constructor(roster: Roster, options: VigilOptions) {
    this.#roster = roster;
    this.#options = options;
  }

  /** From now on the session is at this broker, and may be silent for so many ms. */
  attached(address: string, silence: number): void {
    // What is not plain data cannot be handed to a thread.
    if (this.#options.credentials !== undefined) return;
    this.#watch = { address, silence };
    this.#thread ??= this.#start();
    clearInterval(this.#beat);
    this.#beat = setInterval(() => this.#tick(), silence * shares.look);
    this.#beat.unref();
    this.#tell();
  }

  close(): void {
    clearInterval(this.#beat);
    void this.#thread?.terminate();
  }

  #start(): Thread {
    const thread = new Thread(new URL("./vigil-main.js", import.meta.url), {
      workerData: this.#roster.memory,
    });
    thread.unref();
    // The worker works all the same.
    thread.on("error", (error) => {
      clearInterval(this.#beat);
      this.#options.logger.warn({ event: "vigil_failed", error: error.message }, "vigil_failed");
    });
    return thread;
  }

  #tick(): void {
    this.#roster.tick();
    if (typeof this.#options.metadata === "function" && performance.now() - this.#toldAt > METADATA_AGE)
      this.#tell();
  }

  #tell(): void {
    if (this.#watch === undefined) return;
    this.#toldAt = performance.now();
    const { address, silence } = this.#watch;
    const { addresses, tls = false } = this.#options;
    const watch: Watch = {
      addresses: [address, ...addresses.filter((other) => other !== address)],
      tls: typeof tls === "boolean" ? tls : paths(tls),
      metadata: metadataOf(this.#options).getMap() as Record<string, string>,
      silence,
    };
    this.#thread?.postMessage(watch);
  }
}

/** A URL cannot be handed to a thread. */
function paths(tls: TlsFiles): TlsFiles {
  return Object.fromEntries(Object.entries(tls).map(([name, file]) => [name, pathOf(file as string | URL)]));
}

function pathOf(file: string | URL): string {
  return file instanceof URL ? fileURLToPath(file) : file;
}
