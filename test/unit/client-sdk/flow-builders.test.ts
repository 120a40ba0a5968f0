import { describe, expect, test } from "vitest";
import {
  chain,
  chord,
  type FlowNode,
  graph,
  group,
  membersOf,
  step,
} from "../../../client-sdk/typescript/src/flow-builders.js";

const graphOf = (node: FlowNode) =>
  membersOf(node).map(({ job, dependsOn }) => `${job?.task}<-${dependsOn.join()}`);
const [a, b, c, d] = ["a", "b", "c", "d"].map((task) => step(task)) as [
  FlowNode,
  FlowNode,
  FlowNode,
  FlowNode,
];

describe("what is built becomes members that wait for one another", () => {
  test.each([
    ["one step", a, ["a<-"]],
    ["a chain", chain(a, b, c), ["a<-", "b<-0", "c<-1"]],
    ["a group", group([a, b, c]), ["a<-", "b<-", "c<-"]],
    ["a chord", chord([a, b], c), ["a<-", "b<-", "c<-0,1"]],
    ["a chain of one", chain(a), ["a<-"]],
    ["a group in a chain", chain(a, group([b, c]), d), ["a<-", "b<-0", "c<-0", "d<-1,2"]],
    ["groups one behind the other", chain(group([a, b]), group([c, d])), ["a<-", "b<-", "c<-0,1", "d<-0,1"]],
    ["a chain in a group in a chord", chord([chain(a, b), c], d), ["a<-", "b<-0", "c<-", "d<-1,2"]],
    ["a chord in a chord", chord([chord([a, b], c)], d), ["a<-", "b<-", "c<-0,1", "d<-2"]],
    ["a group in a group", group([group([a, b]), c]), ["a<-", "b<-", "c<-"]],
    [
      "a graph in any order, inputs in the order of after",
      graph({
        last: { node: d, after: ["c", "b"] },
        b: { node: b, after: ["a"] },
        c: { node: c, after: ["a"] },
        a: { node: a },
      }),
      ["a<-", "c<-0", "b<-0", "d<-1,2"],
    ],
    [
      "a graph in a chain begins behind it, and ends in what nobody waits for",
      chain(a, graph({ one: { node: b }, two: { node: c, after: ["one"] }, three: { node: b } }), d),
      ["a<-", "b<-0", "c<-1", "b<-0", "d<-2,3"],
    ],
    [
      "a group in a graph",
      graph({ all: { node: group([a, b]) }, last: { node: c, after: ["all"] } }),
      ["a<-", "b<-", "c<-0,1"],
    ],
  ])("%s", (_what, node, graph) => {
    expect(graphOf(node)).toEqual(graph);
  });

  test("a step keeps what it says of itself, and leaves its key to the flow", () => {
    const [member] = membersOf(
      step(
        "mail.send",
        { to: "a" },
        { queue: "mail", delay: 1_000, onFailure: "continue", name: "greeting" },
      ),
    );
    expect(member).toMatchObject({ onFailure: 2, name: "greeting", dependsOn: [] });
    expect(member?.job).toMatchObject({ task: "mail.send", key: "", queue: "mail", delay: { seconds: 1 } });
    expect(member?.job).not.toHaveProperty("onFailure");
  });
});

test.each([
  ["chain", chain()],
  ["group", group([])],
  ["chain", group([a, chain()])],
  ["group", chord([], a)],
  ["graph", graph({})],
])("an empty %s is refused before anything is sent", (kind, node) => {
  expect(() => membersOf(node)).toThrow(`an empty ${kind}`);
});

const untyped = graph as (vertices: Record<string, { node: FlowNode; after?: string[] }>) => FlowNode;
test.each([
  ["a vertex that waits for itself", { x: { node: a, after: ["x"] } }, "x comes after itself, by way of x"],
  [
    "vertices that wait for one another",
    { x: { node: a, after: ["y"] }, y: { node: b, after: ["x"] } },
    "x comes after itself, by way of y",
  ],
  [
    "one that there is not",
    { x: { node: a, after: ["y"] } },
    "x comes after y, which is no vertex of its graph",
  ],
])("%s is refused before anything is sent", (_what, vertices, why) => {
  expect(() => membersOf(untyped(vertices))).toThrow(why);
});
