import { describe, expect, test } from "vitest";
import {
  chain,
  chord,
  type FlowNode,
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
])("an empty %s is refused before anything is sent", (kind, node) => {
  expect(() => membersOf(node)).toThrow(`an empty ${kind}`);
});
