// What a setting can be: what it takes, in words for people, and how it is read from text.

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { parseDuration } from "./core/duration.js";
import { isName, nameRule } from "./core/names.js";

export interface Kind<T> {
  /** What it takes, for people. */
  readonly takes: string;
  /** `value` is "" where the setting is unset and has no default. @throws Misfit */
  parse(value: string): T;
}

/** A value that is not of its kind. The message continues the name of the setting. */
export class Misfit extends Error {}

export const text: Kind<string> = { takes: "text", parse: (value) => value };
export const optional: Kind<string | undefined> = { takes: "text", parse: (value) => value || undefined };
export const file: Kind<string | undefined> = { takes: "a file", parse: (value) => value || undefined };
export const port = integer(0, 65_535, "a port; 0 = any that is free");

export const name: Kind<string> = {
  takes: "a name",
  parse: (value) => (isName(value) ? value : fail(`is no name: use ${nameRule}`)),
};

/** Unset, it is this machine's name with three bytes of chance behind it. */
export const brokerName: Kind<string> = {
  takes: name.takes,
  parse(value) {
    if (value !== "") return name.parse(value);
    const host = hostname()
      .replace(/[^A-Za-z0-9_.-]/g, "-")
      .slice(0, 100);
    return `${host}-${randomBytes(3).toString("hex")}`;
  },
};

export const endpoint: Kind<string | undefined> = {
  takes: "http(s)://host:port",
  parse(value) {
    if (value === "" || (/^https?:/.test(value) && URL.canParse(value))) return value || undefined;
    return fail("must be an address such as http://localhost:4318");
  },
};

export const urls: Kind<string[]> = {
  takes: "addresses, comma between",
  parse: (value) =>
    value
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
};

/** A whole number, both ends included. */
export function integer(least: number, most: number, takes = `${least} to ${most}`): Kind<number> {
  return {
    takes,
    parse(value) {
      const parsed = /^\d+$/.test(value) ? Number(value) : Number.NaN;
      if (parsed >= least && parsed <= most) return parsed;
      // What Kubernetes puts into the environment of a pod beside a service called `drover-grpc`.
      const hint = value.startsWith("tcp://")
        ? " (a Kubernetes service link? set enableServiceLinks: false)"
        : "";
      return fail(`must be a whole number from ${least} to ${most}${hint}`);
    },
  };
}

/** A number, both ends included. */
export function share(least: number, most: number): Kind<number> {
  return {
    takes: `${least} to ${most}`,
    parse(value) {
      const parsed = /^\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
      return parsed >= least && parsed <= most ? parsed : fail(`must be a number from ${least} to ${most}`);
    },
  };
}

/** In ms, both ends included. */
export function duration(least: string, most: string): Kind<number> {
  const bounds = { least: parseDuration(least) ?? 0, most: parseDuration(most) ?? 0 };
  return {
    takes: `${least} to ${most}`,
    parse(value) {
      const parsed = parseDuration(value);
      if (parsed === undefined) return fail("must be a duration such as 500ms, 30s or 10m");
      return parsed >= bounds.least && parsed <= bounds.most ? parsed : fail(`must be ${least} to ${most}`);
    },
  };
}

export function oneOf<const T extends string>(...values: T[]): Kind<T> {
  return {
    takes: values.join(" | "),
    parse: (value) => values.find((known) => known === value) ?? fail(`must be one of ${values.join(", ")}`),
  };
}

export const replicas: Kind<1 | 3> = {
  takes: "1 | 3",
  parse: (value) => (value === "1" ? 1 : value === "3" ? 3 : fail("must be 1 or 3")),
};

/** How often nats-server fsyncs: `always`, or ms between two. */
export const sync: Kind<"always" | number> = {
  takes: "always | duration",
  parse(value) {
    if (value === "always") return value;
    return (
      parseDuration(value) ??
      fail("must be `always` or a duration such as 10s (then a power cut loses that much)")
    );
  },
};

function fail(problem: string): never {
  throw new Misfit(problem);
}
