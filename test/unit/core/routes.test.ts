// Routes as their declarers may rely on them: which one a job takes, what is refused, and what a pattern may cost.

import { describe, expect, test } from "vitest";
import { compileGlob } from "../../../broker/src/core/glob.js";
import { changesOf, inOrder, type Route, RouteTable, violationsOf } from "../../../broker/src/core/routes.js";
import { type Draft, specOfDraft } from "../../../broker/src/core/spec.js";

function route(name: string, fields: Partial<Route> = {}): Route {
  return { name, owner: "app", task: "*", labels: {}, queue: "q", ...fields };
}

describe("a glob", () => {
  test.each<[pattern: string, yes: string[], no: string[]]>([
    ["mail.send", ["mail.send"], ["mail.sender", "a.mail.send", "mailXsend", ""]],
    ["mail.*", ["mail.", "mail.send", "mail.a.b"], ["mail", "xmail.send"]],
    ["*.send", [".send", "mail.send"], ["mail.sends", "send"]],
    ["*", ["", "anything"], []],
    ["**", ["", "anything"], []],
    ["m?il", ["mail", "mxil"], ["mil", "maail"]],
    ["?*", ["a", "abc"], [""]],
    ["*?", ["a", "abc"], [""]],
    ["a*b*c", ["abc", "aXbYc", "abbc", "abcbc"], ["ab", "acb", "aXc"]],
    ["a*a", ["aa", "aba"], ["a", "ab"]],
    ["*ab*ab*", ["abab", "xabxabx"], ["ab", "aab"]],
    ["*b?d*", ["abcd", "bxbcd"], ["bd", "abd"]],
    ["(a+)+.[x]", ["(a+)+.[x]"], ["aaa.x"]],
  ])("%j matches the whole of a text", (pattern, yes, no) => {
    const glob = compileGlob(pattern);
    expect(yes.filter((text) => !glob(text))).toEqual([]);
    expect(no.filter((text) => glob(text))).toEqual([]);
  });

  test("agrees with the plain definition for every pattern and text of four characters", () => {
    const texts = words("ab", 4);
    for (const pattern of words("ab*?", 4)) {
      const glob = compileGlob(pattern);
      for (const text of texts)
        expect([pattern, text, glob(text)]).toEqual([pattern, text, plain(pattern, text)]);
    }
  });

  test("never goes back behind a star: what takes a backtracker for ever is over at once", () => {
    const glob = compileGlob(`${"*a".repeat(60)}*b`);
    let looked = 0;
    const text = new Proxy(Object("a".repeat(128)), {
      get(target, name) {
        looked++;
        return Reflect.get(target, name);
      },
    });
    expect(glob(text)).toBe(false);
    // A backtracker looks more often than there are atoms; here a place of the text and one of the pattern at most meet
    // once, and each look takes a few readings.
    expect(looked).toBeLessThan(5 * 128 * 122);
  });
});

describe("the route that a job takes", () => {
  const table = new RouteTable([
    route("gold", { task: "mail.*", labels: { tier: "gold*" }, queue: "fast" }),
    route("eu", { labels: { region: "eu-?", tier: "*" }, queue: "europe" }),
    route("mail", { task: "mail.*", queue: "mail" }),
    route("rest", { queue: "rest" }),
    route("late", { task: "mail.send", queue: "never" }),
  ]);

  test.each<[string, Record<string, string>, string]>([
    ["mail.send", {}, "mail"],
    ["mail.send", { tier: "gold-plus" }, "gold"],
    ["mail.send", { tier: "silver" }, "mail"],
    ["mail.send", { tier: "silver", region: "eu-1" }, "eu"],
    ["other", { tier: "gold", region: "eu-1" }, "eu"],
    ["other", { region: "eu-1" }, "rest"],
    ["other", { tier: "gold", region: "eu-10" }, "rest"],
  ])("is the first that matches: %s with %j takes %s", (task, labels, name) => {
    expect(table.find({ task, labels })?.name).toBe(name);
    // Asked again, from what is remembered of the task.
    expect(table.find({ task, labels })?.name).toBe(name);
  });

  test("is none where none matches, and a label of the object's own making is no label", () => {
    expect(new RouteTable([route("a", { task: "b" })]).find({ task: "c", labels: {} })).toBeUndefined();
    const odd = new RouteTable([route("odd", { labels: { constructor: "*" } })]);
    expect(odd.find({ task: "c", labels: {} })).toBeUndefined();
  });

  test("goes by owners in the order of their names, and by each owner's own order", () => {
    const all = [route("1", { owner: "b" }), route("2", { owner: "a" }), route("0", { owner: "b" })];
    expect(inOrder(all).map(({ name }) => name)).toEqual(["2", "1", "0"]);
  });
});

describe("what a submit says itself wins", () => {
  const table = new RouteTable([
    route("both", { task: "both", queue: "routed", priority: 8 }),
    route("only-priority", { task: "prio", queue: undefined, priority: 0 }),
    route("only-queue", { task: "queue", queue: "routed" }),
  ]);

  test.each<[Partial<Draft>, string, number]>([
    [{ task: "both" }, "routed", 8],
    [{ task: "both", queue: "own" }, "own", 8],
    [{ task: "both", priority: 0 }, "routed", 0],
    [{ task: "both", queue: "default", priority: 5 }, "default", 5],
    [{ task: "prio" }, "default", 0],
    [{ task: "queue" }, "routed", 5],
    [{ task: "none" }, "default", 5],
  ])("%j goes to %s with priority %i", (fields, queue, priority) => {
    const draft = { task: "", key: "", labels: {}, headers: {}, ...fields };
    expect(specOfDraft(draft, 0, table)).toMatchObject({ spec: { queue, priority } });
  });
});

describe("routes that are refused", () => {
  test.each<[string, Partial<Route>[], string[]]>([
    ["without a name", [{ name: "" }], ["routes[0].name"]],
    ["of one name twice", [{ task: "a" }, { name: "r0", task: "b" }], ["routes[1].name"]],
    ["without a task", [{ task: "" }], ["routes[0].task"]],
    ["with a glob that no task's name fits", [{ task: "mail send" }], ["routes[0].task"]],
    ["with a glob of classes", [{ task: "mail.[ab]" }], ["routes[0].task"]],
    ["with a glob too long", [{ task: "*".repeat(129) }], ["routes[0].task"]],
    ["without effect", [{ queue: undefined }], ["routes[0].queue"]],
    ["to a queue that is no name", [{ queue: "a b" }], ["routes[0].queue"]],
    ["with priority 10", [{ priority: 10 }], ["routes[0].priority"]],
    ["on a label that is no name", [{ labels: { "a b": "*" } }], ["routes[0].labels"]],
    ["on a value too long", [{ labels: { a: "x".repeat(257) } }], ['routes[0].labels["a"]']],
    ["behind one that takes everything", [{ task: "*" }, { task: "mail.*" }], ["routes[1].task"]],
    ["behind one of the same glob", [{ task: "m*" }, { task: "m*", labels: { a: "b" } }], ["routes[1].task"]],
  ])("%s", (_, routes, fields) => {
    const declared = routes.map((fields, i) => route(`r${i}`, fields));
    expect(violationsOf("app", declared).map(({ field }) => field)).toEqual(fields);
  });

  test("by an owner without a name, and over 1,000", () => {
    expect(violationsOf("", [])).toMatchObject([{ field: "owner" }]);
    const many = Array.from({ length: 1_001 }, (_, i) => route(`r${i}`, { task: `t${i}` }));
    expect(violationsOf("app", many)).toMatchObject([{ field: "routes" }]);
    expect(violationsOf("app", many.slice(1))).toEqual([]);
  });

  test("but not one with labels before one that takes the rest", () => {
    const declared = [route("a", { labels: { x: "1" } }), route("b", { task: "m*" }), route("c")];
    expect(violationsOf("app", declared)).toEqual([]);
  });
});

test("what an owner changed is told by name", () => {
  const before = [route("a"), route("b", { priority: 1 }), route("c"), route("d", { labels: { x: "1" } })];
  const after = [route("a"), route("b", { priority: 2 }), route("d", { labels: { x: "1" } }), route("e")];
  expect(changesOf(before, after)).toEqual({ added: ["e"], changed: ["b"], removed: ["c"] });
  expect(changesOf(before, before)).toEqual({ added: [], changed: [], removed: [] });
  const [a, b, ...others] = before as [Route, Route, ...Route[]];
  expect(changesOf(before, [b, a, ...others]).changed).toEqual(["b", "a"]);
  const labelled = (x: string) => [route("a", { labels: { x } })];
  expect(changesOf(labelled("1"), labelled("2")).changed).toEqual(["a"]);
});

function words(letters: string, longest: number): string[] {
  let last = [""];
  const all = [...last];
  for (let length = 1; length <= longest; length++) {
    last = last.flatMap((word) => [...letters].map((letter) => word + letter));
    all.push(...last);
  }
  return all;
}

/** What a glob means, said without a care for time. */
function plain(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  const rest = pattern.slice(1);
  if (pattern[0] === "*") return plain(rest, text) || (text !== "" && plain(pattern, text.slice(1)));
  return text !== "" && (pattern[0] === "?" || pattern[0] === text[0]) && plain(rest, text.slice(1));
}
