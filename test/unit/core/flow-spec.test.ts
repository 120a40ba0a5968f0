import { describe, expect, test } from "vitest";
import { Refusal } from "../../../broker/src/core/errors.js";
import { type FlowDraft, flowOfDraft, type MemberDraft } from "../../../broker/src/core/flow-spec.js";

const now = Date.UTC(2026, 0, 1);

function member(dependsOn: number[] = [], more: Partial<MemberDraft> = {}): MemberDraft {
  return { job: { task: "t", key: "", labels: {}, headers: {} }, dependsOn, onFailure: 0, name: "", ...more };
}

function violations(draft: Partial<FlowDraft>): string[] {
  try {
    flowOfDraft({ key: "", name: "", labels: {}, deadline: undefined, members: [member()], ...draft }, now);
  } catch (error) {
    if (error instanceof Refusal) {
      return (error.detail.violations ?? []).map(({ field, description }) => `${field} ${description}`);
    }
    throw error;
  }
  return [];
}

test("a sound flow is taken, with the default policy written out", () => {
  const { members } = flowOfDraft(
    { key: "k", name: "", labels: {}, deadline: now + 1, members: [member(), member([0])] },
    now,
  );
  expect(members.map(({ onFailure, dependsOn }) => [onFailure, dependsOn])).toEqual([
    [1, []],
    [1, [0]],
  ]);
});

const job = (more: object) => ({ job: { task: "t", key: "", labels: {}, headers: {}, ...more } });

describe("what is wrong is named with its member and field", () => {
  test.each<[string, Partial<FlowDraft>, RegExp]>([
    ["no member", { members: [] }, /^flow\.members has 0 items, must have 1 to 10,000$/],
    [
      "too many members",
      { members: Array.from({ length: 10_001 }, () => member()) },
      /^flow\.members has 10,001 items/,
    ],
    [
      "a missing dependency",
      { members: [member(), member([7])] },
      /^flow\.members\[1\]\.depends_on\[0\] there is no member 7/,
    ],
    [
      "a cycle",
      { members: [member([1]), member([0])] },
      /^flow\.members\[0\]\.depends_on\[0\] is 1, must be below/,
    ],
    ["itself", { members: [member([0])] }, /^flow\.members\[0\]\.depends_on\[0\] is 0, must be below/],
    [
      "a dependency twice",
      { members: [member(), member([0, 0])] },
      /^flow\.members\[1\]\.depends_on\[1\] names member 0 twice/,
    ],
    ["no job", { members: [member([], { job: undefined })] }, /^flow\.members\[0\]\.job is required/],
    [
      "a bad job",
      { members: [member(), member([], job({ priority: 10 }))] },
      /^flow\.members\[1\]\.job\.priority is 10/,
    ],
    [
      "a policy",
      { members: [member([], { onFailure: 9 })] },
      /^flow\.members\[0\]\.on_failure 9 is no FailurePolicy/,
    ],
    [
      "a long name",
      { members: [member([], { name: "x".repeat(129) })] },
      /^flow\.members\[0\]\.name has 129/,
    ],
    [
      "one key twice",
      { members: [member([], job({ key: "k" })), member([], job({ key: "k" }))] },
      /^flow\.members\[1\]\.job\.key is that of member 0/,
    ],
    ["a long key", { key: "x".repeat(101) }, /^flow\.key has 101 characters, the limit is 100/],
    ["a deadline in the past", { deadline: now }, /^flow\.deadline is over already/],
    ["labels", { labels: { "a b": "" } }, /^flow\.labels "a b" is not a name/],
  ])("%s", (_, draft, said) => {
    expect(violations(draft)).toEqual([expect.stringMatching(said)]);
  });
});
