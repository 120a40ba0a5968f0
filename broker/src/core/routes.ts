// Where jobs go that do not say so themselves. The first route that matches a job counts, whole: what it does not set is
// the default, not the next route's. Owners come in the order of their names, an owner's routes in the order declared.

import { byteLength, Checks, quote } from "./check.js";
import type { Violation } from "./errors.js";
import { compileGlob, type Glob } from "./glob.js";
import { counts, sizes } from "./limits.js";

export interface Route {
  /** Unique over all owners. */
  name: string;
  /** Who declared it. */
  owner: string;
  /** Glob on the task's name. */
  task: string;
  /** Labels a job must bear, values as globs. */
  labels: { [name: string]: string };
  queue?: string | undefined;
  /** 0 to 9. */
  priority?: number | undefined;
}

/** What routes look at. */
export interface Routed {
  task: string;
  labels: { readonly [name: string]: string };
}

/** Says where a job goes; undefined = nobody says. */
export interface Routing {
  find(job: Routed): Route | undefined;
}

interface Compiled {
  route: Route;
  task: Glob;
  labels: [name: string, value: Glob][];
}

/** Tasks whose candidates are remembered: they come from requests, so there is a bound. */
const remembered = 10_000;
const nowhere: readonly Compiled[] = [];

export class RouteTable implements Routing {
  readonly #compiled: readonly Compiled[];
  /** By task: the routes whose glob it matches, up to the first that asks for no label. */
  readonly #candidates = new Map<string, readonly Compiled[]>();

  constructor(readonly routes: readonly Route[]) {
    this.#compiled = routes.map((route) => ({
      route,
      task: compileGlob(route.task),
      labels: Object.entries(route.labels).map(([name, value]) => [name, compileGlob(value)]),
    }));
  }

  find({ task, labels }: Routed): Route | undefined {
    if (this.#compiled.length === 0) return undefined;
    for (const { route, labels: wanted } of this.#candidatesOf(task)) {
      if (wanted.every(([name, value]) => Object.hasOwn(labels, name) && value(labels[name] ?? ""))) {
        return route;
      }
    }
    return undefined;
  }

  #candidatesOf(task: string): readonly Compiled[] {
    const known = this.#candidates.get(task);
    if (known !== undefined) return known;
    const matching = this.#compiled.filter((route) => route.task(task));
    const last = matching.findIndex(({ labels }) => labels.length === 0);
    const found = matching.length === 0 ? nowhere : matching.slice(0, last < 0 ? undefined : last + 1);
    if (this.#candidates.size >= remembered) this.#candidates.clear();
    this.#candidates.set(task, found);
    return found;
  }
}

export const noRoutes: Routing = new RouteTable([]);

/** Routes in the order in which they are tried. */
export function inOrder(routes: readonly Route[]): Route[] {
  // Sorting keeps the order of those that compare as equal: each owner's own.
  return [...routes].sort((a, b) => (a.owner < b.owner ? -1 : a.owner > b.owner ? 1 : 0));
}

/** About what a route takes where it is stored. */
export function bytesOf(route: Route): number {
  let bytes = route.name.length + route.owner.length + route.task.length + (route.queue?.length ?? 0) + 16;
  for (const [name, value] of Object.entries(route.labels)) bytes += name.length + byteLength(value) + 8;
  return bytes;
}

export interface RouteChanges {
  added: string[];
  changed: string[];
  removed: string[];
}

/** What an owner's new routes change in the old ones, by name. A route that only changed its place counts as changed. */
export function changesOf(before: readonly Route[], after: readonly Route[]): RouteChanges {
  const old = new Map(before.map((route) => [route.name, route]));
  const names = new Set(after.map(({ name }) => name));
  const stayed = before.filter(({ name }) => names.has(name)).map(({ name }) => name);
  const place = new Map(stayed.map((name, i) => [name, i]));
  let kept = 0;
  const added: string[] = [];
  const changed: string[] = [];
  for (const route of after) {
    const was = old.get(route.name);
    if (was === undefined) added.push(route.name);
    else if (place.get(route.name) !== kept++ || !isSame(was, route)) changed.push(route.name);
  }
  return { added, changed, removed: before.map(({ name }) => name).filter((name) => !names.has(name)) };
}

/** All that is wrong with the routes that an owner declares. */
export function violationsOf(owner: string, routes: readonly Omit<Route, "owner">[]): readonly Violation[] {
  const checks = new Checks();
  checks.name("owner", owner);
  checks.size("routes", routes.length, 0, counts.routes);
  const places = new Map<string, number>();
  const open: { place: number; task: string }[] = [];
  for (const [i, route] of routes.slice(0, counts.routes).entries()) {
    const at = `routes[${i}]`;
    checkRoute(checks, at, route);
    const twin = places.get(route.name);
    if (twin !== undefined) checks.add(`${at}.name`, `is the name of routes[${twin}] as well: rename one`);
    places.set(route.name, i);
    const before = open.find(({ task }) => task === "*" || task === route.task);
    if (before !== undefined) {
      const taken = `routes[${before.place}] before it takes every job that it matches`;
      checks.add(`${at}.task`, `can never match: ${taken}; put this one first`);
    }
    if (Object.keys(route.labels).length === 0) open.push({ place: i, task: route.task });
  }
  return checks.violations;
}

const globText = /^[A-Za-z0-9_.*?-]*$/;

function checkRoute(checks: Checks, at: string, route: Omit<Route, "owner">): void {
  checks.name(`${at}.name`, route.name);
  checks.requiredText(`${at}.task`, route.task, sizes.name);
  if (!globText.test(route.task)) {
    checks.add(
      `${at}.task`,
      `${quote(route.task)} matches no task: use A-Z a-z 0-9 _ . - and * for any characters, ? for one`,
    );
  }
  checkLabels(checks, at, route.labels);
  if (route.queue !== undefined) checks.name(`${at}.queue`, route.queue);
  if (route.priority !== undefined) checks.integer(`${at}.priority`, route.priority, 0, 9);
  if (route.queue === undefined && route.priority === undefined) {
    checks.add(`${at}.queue`, "is unset and so is priority: a route sets at least one of the two");
  }
}

function checkLabels(checks: Checks, at: string, labels: Route["labels"]): void {
  const entries = Object.entries(labels);
  if (entries.length > sizes.labels) {
    checks.add(`${at}.labels`, `are ${entries.length}, the limit is ${sizes.labels}: a job has no more`);
  }
  for (const [name, value] of entries.slice(0, sizes.labels)) {
    checks.name(`${at}.labels`, name);
    checks.bytes(`${at}.labels[${quote(name)}]`, value, sizes.labelValue);
  }
}

function isSame(one: Route, other: Route): boolean {
  const labels = Object.entries(one.labels);
  return (
    one.task === other.task &&
    one.queue === other.queue &&
    one.priority === other.priority &&
    labels.length === Object.keys(other.labels).length &&
    labels.every(([name, value]) => Object.hasOwn(other.labels, name) && other.labels[name] === value)
  );
}
