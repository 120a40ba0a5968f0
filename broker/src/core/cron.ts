// Cron rules: their text, and the walk from one planned time to the next. A rule speaks of what the clocks of its zone
// show. Where they are put forward, a time that they leave out counts as what it would have been (02:30 runs at 03:30);
// where they are put back, a time that they show twice counts once. A rule for every hour goes by the hours that pass
// instead: none is run twice, none is left out. This is what Vixie cron does.

import { quote } from "./check.js";
import type { Change, Zone } from "./zone.js";

export interface Cron {
  seconds: readonly number[];
  minutes: readonly number[];
  hours: readonly number[];
  days: ReadonlySet<number>;
  months: ReadonlySet<number>;
  /** 0 = Sunday. */
  weekdays: ReadonlySet<number>;
  /** Day of month and day of week, both restricted, are either-or. */
  anyDay: boolean;
  anyWeekday: boolean;
  everyHour: boolean;
}

interface Field {
  name: string;
  least: number;
  most: number;
  names?: readonly string[];
}

const monthNames = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const fields = [
  { name: "second", least: 0, most: 59 },
  { name: "minute", least: 0, most: 59 },
  { name: "hour", least: 0, most: 23 },
  { name: "day of month", least: 1, most: 31 },
  { name: "month", least: 1, most: 12, names: monthNames },
  // 7 is Sunday as well.
  { name: "day of week", least: 0, most: 7, names: dayNames },
] as const satisfies readonly Field[];

const nicknames: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

/** 29 February comes after eight years at the latest. */
const horizon = 9;
const longest = 256;

/** The rule of a text, or what is wrong with it. */
export function parseCron(text: string): Cron | { problem: string } {
  if (text.length > longest) return { problem: `has ${text.length} characters, the limit is ${longest}` };
  if (text.startsWith("@") && nicknames[text.toLowerCase()] === undefined) {
    return { problem: `${quote(text)} is not known: use one of ${Object.keys(nicknames).join(" ")}` };
  }
  const words = (nicknames[text.toLowerCase()] ?? text).trim().split(/\s+/);
  if (words.length !== 5 && words.length !== 6) {
    return {
      problem: `${quote(text)} has ${words[0] === "" ? 0 : words.length} fields: use five (minute, hour, day of month, month, day of week) or six (second first)`,
    };
  }
  const all = words.length === 5 ? ["0", ...words] : words;
  const sets: number[][] = [];
  for (const [i, field] of fields.entries()) {
    const values = valuesOf(all[i] ?? "", field);
    if (typeof values === "string") return { problem: `${field.name}: ${values}` };
    sets.push(values);
  }
  const [seconds = [], minutes = [], hours = [], days = [], months = [], weekdays = []] = sets;
  const cron: Cron = {
    seconds,
    minutes,
    hours,
    days: new Set(days),
    months: new Set(months),
    weekdays: new Set(weekdays.map((day) => day % 7)),
    anyDay: isAny(all[3]),
    anyWeekday: isAny(all[5]),
    everyHour: hours.length === 24,
  };
  if (nextShown(cron, 0) === undefined) {
    return { problem: `${quote(text)} never comes: no such month has that day` };
  }
  return cron;
}

function isAny(word: string | undefined): boolean {
  return word === "*" || word === "?";
}

/** The values that a field allows, in order, or what is wrong with it. */
function valuesOf(word: string, field: Field): number[] | string {
  const allowed = new Set<number>();
  for (const item of word.toLowerCase().split(",")) {
    const [range = "", step, ...more] = item.split("/");
    const [from = "", to, ...rest] = range.split("-");
    if (more.length > 0 || rest.length > 0) return `${quote(item)} is not understood`;
    const any = isAny(range);
    const first = any ? field.least : numberOf(from, field);
    const last = any || (to === undefined && step !== undefined) ? field.most : numberOf(to ?? from, field);
    const every = step === undefined ? 1 : /^\d{1,3}$/.test(step) ? Number(step) : 0;
    if (first === undefined || last === undefined) {
      const names = field.names === undefined ? "" : ` or ${field.names[0]} to ${field.names.at(-1)}`;
      return `${quote(range)} is not ${field.least} to ${field.most}${names}`;
    }
    if (every < 1) return `the step ${quote(step ?? "")} is not a whole number from 1`;
    if (first > last) return `${quote(range)} runs backwards`;
    for (let value = first; value <= last; value += every) allowed.add(value);
  }
  return [...allowed].sort((a, b) => a - b);
}

function numberOf(text: string, { least, most, names }: Field): number | undefined {
  const named = names?.indexOf(text) ?? -1;
  if (named >= 0) return least === 1 ? named + 1 : named;
  if (!/^\d{1,2}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}

/** The first planned time after that moment, ms since 1970; undefined = never again. */
export function nextTime(cron: Cron, zone: Zone, after: number): number | undefined {
  const shown = nextOnClock(cron, zone, after);
  const leap = cron.everyHour ? undefined : zone.leapAround(after);
  if (leap === undefined) return shown;
  const leftOut = nextLeftOut(cron, leap, after);
  return leftOut === undefined || (shown !== undefined && shown < leftOut) ? shown : leftOut;
}

/** The first moment at which the clocks show what the rule says, up to where times that they leave out begin to count. */
function nextOnClock(cron: Cron, zone: Zone, after: number): number | undefined {
  let from = after;
  let offset = zone.offset(after);
  let change = zone.nextChange(after);
  for (;;) {
    const shown = nextShown(cron, from + offset);
    const found = shown === undefined ? Number.POSITIVE_INFINITY : shown - offset;
    if (change === undefined || found < change.at) {
      if (shown === undefined) return undefined;
      if (cron.everyHour || !zone.isRepeated(found)) return found;
      from = found;
      continue;
    }
    from = change.at - 1;
    offset = change.after;
    const leftOut = cron.everyHour ? undefined : nextLeftOut(cron, change, from);
    if (leftOut !== undefined) {
      const later = nextShown(cron, from + offset);
      return later === undefined ? leftOut : Math.min(leftOut, later - offset);
    }
    change = zone.nextChange(change.at);
  }
}

/** The first time after `after` that the clocks leave out by a change, as what it would have been. */
function nextLeftOut(cron: Cron, { at, before, after: ahead }: Change, after: number): number | undefined {
  const shown = nextShown(cron, Math.max(after, at - 1) + before);
  return shown !== undefined && shown - before < at + ahead - before ? shown - before : undefined;
}

/** The first time after `after` that a clock without changes shows; both as if it were UTC. */
function nextShown(cron: Cron, after: number): number | undefined {
  const start = new Date((Math.floor(after / 1_000) + 1) * 1_000);
  let [year, month, day] = [start.getUTCFullYear(), start.getUTCMonth() + 1, start.getUTCDate()];
  let time = start.getUTCHours() * 3_600 + start.getUTCMinutes() * 60 + start.getUTCSeconds();
  const last = year + horizon;
  while (year <= last) {
    if (cron.months.has(month)) {
      const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
      for (; day <= days; day++, time = 0) {
        if (!allowsDay(cron, year, month, day)) continue;
        const found = timeOfDay(cron, time);
        if (found !== undefined) return Date.UTC(year, month - 1, day) + found * 1_000;
      }
    }
    [day, time] = [1, 0];
    month = (month % 12) + 1;
    if (month === 1) year++;
  }
  return undefined;
}

function allowsDay(cron: Cron, year: number, month: number, day: number): boolean {
  const byDay = cron.days.has(day);
  const byWeekday = cron.weekdays.has(new Date(Date.UTC(year, month - 1, day)).getUTCDay());
  return cron.anyDay || cron.anyWeekday ? byDay && byWeekday : byDay || byWeekday;
}

/** Seconds since midnight, from `from` on. */
function timeOfDay({ hours, minutes, seconds }: Cron, from: number): number | undefined {
  for (const hour of hours) {
    if (hour * 3_600 + 3_599 < from) continue;
    for (const minute of minutes) {
      if (hour * 3_600 + minute * 60 + 59 < from) continue;
      for (const second of seconds) {
        const time = hour * 3_600 + minute * 60 + second;
        if (time >= from) return time;
      }
    }
  }
  return undefined;
}
