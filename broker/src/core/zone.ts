// What the clocks of a time zone show, from the zone data that Node.js brings. A year's changes are found once and kept:
// asking Intl for each planned time would cost a hundred times as much.

const hour = 3_600_000;
const stride = 10 * 24 * hour;

export interface Change {
  /** ms since 1970: the first moment of the new offset. */
  at: number;
  /** ms ahead of UTC. */
  before: number;
  after: number;
}

interface Year {
  /** Offset at its first moment. */
  first: number;
  changes: readonly Change[];
}

export class Zone {
  readonly #format: Intl.DateTimeFormat | undefined;
  readonly #years = new Map<number, Year>();

  /** `name`: IANA; empty = UTC. @throws RangeError for a zone that nobody knows */
  constructor(readonly name: string) {
    if (name === "" || name === "UTC") return;
    // Node.js would take a bare offset such as +01:00, which has no rules to speak of.
    if (!/^[A-Za-z]/.test(name)) throw new RangeError(`${name} is no IANA name`);
    this.#format = new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  }

  /** ms that its clocks are ahead of UTC at that moment. */
  offset(at: number): number {
    const { first, changes } = this.#year(yearOf(at));
    let offset = first;
    for (const change of changes) if (change.at <= at) offset = change.after;
    return offset;
  }

  /** The first change after that moment, within the next two years. */
  nextChange(after: number): Change | undefined {
    if (this.#format === undefined) return undefined;
    const year = yearOf(after);
    for (const each of [year, year + 1, year + 2]) {
      const found = this.#year(each).changes.find(({ at }) => at > after);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The change by which clocks were put forward, while what they left out would still be shown without it. */
  leapAround(at: number): Change | undefined {
    return this.#year(yearOf(at)).changes.find(
      (change) => change.at <= at && at < change.at + change.after - change.before,
    );
  }

  /** Whether the clocks showed this moment's time once before: they were put back since. */
  isRepeated(at: number): boolean {
    const { changes } = this.#year(yearOf(at));
    return changes.some((change) => change.at <= at && at + change.after < change.at + change.before);
  }

  #year(year: number): Year {
    if (this.#format === undefined) return utc;
    let known = this.#years.get(year);
    if (known === undefined) {
      known = this.#look(year);
      this.#years.set(year, known);
    }
    return known;
  }

  #look(year: number): Year {
    const [start, end] = [Date.UTC(year, 0, 1), Date.UTC(year + 1, 0, 1)];
    const first = this.#ask(start);
    const changes: Change[] = [];
    for (let from = start, before = first; from < end; from += stride) {
      const to = Math.min(end - 1_000, from + stride);
      const after = this.#ask(to);
      if (after !== before) changes.push({ at: this.#changeBetween(from, to, before), before, after });
      before = after;
    }
    return { first, changes };
  }

  /** Offsets change at whole seconds. */
  #changeBetween(from: number, to: number, before: number): number {
    let [old, new_] = [from, to];
    while (new_ - old > 1_000) {
      const middle = Math.floor((old + new_) / 2_000) * 1_000;
      if (this.#ask(middle) === before) old = middle;
      else new_ = middle;
    }
    return new_;
  }

  #ask(at: number): number {
    const parts = new Map<string, number>();
    for (const { type, value } of this.#format?.formatToParts(at) ?? []) parts.set(type, Number(value));
    const part = (type: string) => parts.get(type) ?? 0;
    const shown = Date.UTC(
      part("year"),
      part("month") - 1,
      part("day"),
      part("hour"),
      part("minute"),
      part("second"),
    );
    return shown - Math.floor(at / 1_000) * 1_000;
  }
}

const utc: Year = { first: 0, changes: [] };
const zones = new Map<string, Zone>();

/** @throws RangeError for a zone that nobody knows */
export function zoneOf(name: string): Zone {
  let known = zones.get(name);
  if (known === undefined) {
    known = new Zone(name);
    // There are some 600: a bound for those who invent spellings.
    if (zones.size >= 1_000) zones.clear();
    zones.set(name, known);
  }
  return known;
}

function yearOf(at: number): number {
  return new Date(at).getUTCFullYear();
}
