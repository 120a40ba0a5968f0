// What people write on a command line, as values. Each parser says what it takes when it cannot take something.

import { InvalidArgumentError, Option } from "commander";

const units = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const duration = /^(\d+(?:\.\d+)?)(ms|s|m|min|h|d)$/;

/** `500ms`, `30s`, `10m`, `2h`, `7d`; ms. */
export function toDuration(text: string): number {
  const parts = duration.exec(text);
  if (parts === null) throw new InvalidArgumentError("use a duration such as 500ms, 30s, 10m, 2h or 7d.");
  return Number(parts[1]) * units[parts[2] as keyof typeof units];
}

/** RFC 3339 with a zone: a time without one would mean something else on each machine. */
export function toTime(text: string): Date {
  const zoned = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})$/;
  const date = new Date(text);
  if (!zoned.test(text) || Number.isNaN(date.getTime())) {
    throw new InvalidArgumentError("use a time with its zone, such as 2027-01-31T09:00:00+01:00.");
  }
  return date;
}

export function toWhole(least: number, most: number): (text: string) => number {
  return (text) => {
    const n = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (n >= least && n <= most) return n;
    throw new InvalidArgumentError(`use a whole number from ${least} to ${most}.`);
  };
}

export function toNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const n = text.trim() === "" ? Number.NaN : Number(text);
    if (n >= least && n <= most) return n;
    throw new InvalidArgumentError(`use a number from ${least} to ${most}.`);
  };
}

/** `name=value`, given any number of times. */
export function toPair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("use name=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** One of these words, in either case. */
export function toWord<W extends string>(words: readonly W[]): (text: string) => W {
  return (text) => {
    const word = words.find((each) => spoken(each) === spoken(text));
    if (word === undefined) throw new InvalidArgumentError(`use one of ${words.map(spoken).join(", ")}.`);
    return word;
  };
}

/** A flag that takes one of these words. Help and completion know them. */
export function wordOption(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words.map(spoken)).argParser(toWord(words));
}

/** CANCEL_PREVIOUS as it is written on a command line. */
export function spoken(word: string): string {
  return word.toLowerCase().replaceAll("_", "-");
}
