// Counters of brokers that come and go: what each process had counted when it was last asked, summed up.

export interface Scraped {
  httpUrl: string;
}

/** The values of /metrics by name, summed up over those whose labels hold a text.
 *  @throws Error when the broker does not answer */
export async function scrape({ httpUrl }: Scraped, labelled = ""): Promise<Map<string, number>> {
  const response = await fetch(`${httpUrl}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const sums = new Map<string, number>();
  for (const line of (await response.text()).split("\n")) {
    const [, name, labels = "", value] = /^([a-z_]+)(\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined || !labels.includes(labelled)) continue;
    sums.set(name, (sums.get(name) ?? 0) + Number(value));
  }
  return sums;
}

export class Counters {
  readonly #ended: Map<string, number>[] = [];
  readonly #running = new Map<Scraped, Map<string, number>>();

  /** Asks a broker now. What it counted before it last ended stays. */
  async look(broker: Scraped): Promise<Map<string, number>> {
    const seen = await scrape(broker);
    this.#running.set(broker, seen);
    return seen;
  }

  /** The process has ended: what is asked from now on is another one's. */
  ended(broker: Scraped): void {
    const last = this.#running.get(broker);
    if (last !== undefined) this.#ended.push(last);
    this.#running.delete(broker);
  }

  /** As of the last look at each. */
  sum(name: string): number {
    const all = [...this.#ended, ...this.#running.values()];
    return all.reduce((sum, seen) => sum + (seen.get(name) ?? 0), 0);
  }
}
