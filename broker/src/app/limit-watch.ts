// How far limits are used up, looked at now and then, so that a scrape waits for nobody.

import type { LimitControl, LimitUsage } from "./limits.js";
import type { Log } from "./telemetry.js";

const every = 5_000;

export class LimitWatch {
  #usage: readonly LimitUsage[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly limits: Pick<LimitControl, "usage">,
    readonly log: Log,
  ) {}

  start(): void {
    this.#timer = setInterval(() => void this.look(), every).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** As last looked. */
  all(): readonly LimitUsage[] {
    return this.#usage;
  }

  /** Looks once. Never fails: what was known stays. */
  async look(): Promise<void> {
    try {
      this.#usage = await this.limits.usage();
    } catch (error) {
      this.log.debug({ error: String(error) }, "limits could not be looked at");
    }
  }
}
