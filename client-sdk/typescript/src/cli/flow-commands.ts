// `drover flow ...`: looking at flows, cancelling and redriving them. They are built in code.

import { type Command, Option } from "commander";
import type { FlowMemberStatus, FlowState, FlowStatus } from "../flow-status.js";
import { examples } from "./examples.js";
import { Exit, exits } from "./exit.js";
import type { Io } from "./io.js";
import { pairs, since, tintOf, when } from "./job-view.js";
import { toWhole, wordOption } from "./parse.js";
import { type Session, withSession } from "./session.js";
import { count, cut, json } from "./text.js";
import type { Column, Tint } from "./view.js";

/** For examples. */
const anyKey = "01936f0e-7c1e-7000-8000-000000000000";
const states = ["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] as const satisfies readonly FlowState[];
const tints: Partial<Record<FlowState, Tint>> = {
  RUNNING: "bold",
  SUCCEEDED: "green",
  FAILED: "red",
  CANCELLED: "dim",
};

const flowColumns: readonly Column<FlowStatus>[] = [
  { title: "key", of: ({ key }) => key },
  { title: "name", of: ({ name }) => name },
  { title: "state", of: ({ state }) => state.toLowerCase(), tint: ({ state }) => tints[state] },
  { title: "done", of: ({ counts }) => `${ended(counts)}/${counts.total}`, right: true },
  { title: "failed", of: ({ counts }) => counts.failed, right: true },
  { title: "age", of: ({ submittedAt }) => since(submittedAt), right: true },
];

const memberColumns: readonly Column<FlowMemberStatus>[] = [
  { title: "#", of: ({ member }) => member, right: true },
  { title: "job", of: ({ jobId }) => jobId },
  { title: "name", of: ({ name }) => name },
  { title: "state", of: ({ state }) => state.toLowerCase(), tint: tintOf },
  { title: "after", of: ({ dependsOn }) => cut(dependsOn.join(","), 24) },
  {
    title: "about",
    of: ({ failure, result }) =>
      cut(failure === undefined ? (result === undefined ? "" : json(result)) : failure.message, 60),
  },
];

export function addFlows(program: Command, io: Io): void {
  const flow = program
    .command("flow")
    .description("Look at flows, cancel and redrive them.")
    .addHelpText(
      "after",
      examples("flow ls --state failed", `flow show ${anyKey}`, `flow redrive ${anyKey} --dry-run`),
    );

  flow
    .command("ls")
    .description("Flows, the latest first. As JSON: one a line.")
    .addOption(wordOption("-s, --state <state>", "only those", states))
    .option("--name <name>", "only of this kind")
    .addOption(new Option("--limit <n>", "at most so many").argParser(toWhole(1, 1_000_000)).default(50))
    .addHelpText("after", examples("flow ls --state failed", "-o json flow ls --limit 1000 | jq -r .key"))
    .action((options: { state?: FlowState; name?: string; limit: number }, command: Command) =>
      withSession(io, command, (session) => list(session, options)),
    );

  flow
    .command("show")
    .description("A flow and its members: the graph, and what each came to.")
    .argument("<key>")
    .addOption(
      new Option("--limit <n>", "at most so many members").argParser(toWhole(1, 10_000)).default(100),
    )
    .addHelpText(
      "after",
      examples(`flow show ${anyKey}`, `-o json flow show ${anyKey} | jq '.members[] | select(.failure)'`),
    )
    .action((key: string, { limit }: { limit: number }, command: Command) =>
      withSession(io, command, (session) => show(session, key, limit)),
    );

  flow
    .command("cancel")
    .description("Cancel all that waits in a flow, and ask for the end of what runs.")
    .argument("<key>")
    .option("--reason <text>", "kept in the records", "")
    .option("--dry-run", "only count the members that have not ended")
    .addHelpText(
      "after",
      examples(`flow cancel ${anyKey} --dry-run`, `flow cancel ${anyKey} --reason 'wrong month'`),
    )
    .action((key: string, { reason, dryRun }: { reason: string; dryRun?: true }, command: Command) =>
      withSession(io, command, async (session) => {
        const { client, view } = session;
        if (dryRun === true) return await wouldChange(session, key, "cancel", ["blocked", "open"]);
        const answer = await client.flows.flow(key).cancel(reason);
        view.show(answer, () =>
          view.line(`${count(answer.cancelled)} cancelled, ${count(answer.requested)} asked to end`),
        );
        if (answer.alreadyFinished) throw new Exit(exits.failed, `${key} had ended already`);
      }),
    );

  flow
    .command("redrive")
    .description("Run the failed and cancelled members again, and what was left out for their sake.")
    .argument("<key>")
    .option("--dry-run", "only count them")
    .addHelpText("after", examples(`flow redrive ${anyKey} --dry-run`, `flow redrive ${anyKey}`))
    .action((key: string, { dryRun }: { dryRun?: true }, command: Command) =>
      withSession(io, command, async (session) => {
        const { client, view } = session;
        if (dryRun === true) return await wouldChange(session, key, "redrive", ["failed", "cancelled"]);
        const answer = await client.flows.flow(key).redrive();
        view.show(answer, () => view.line(`${count(answer.redriven)} members run or wait again`));
      }),
    );
}

/** A dry run: how many members are in those states now. */
async function wouldChange(
  { client, view }: Session,
  key: string,
  verb: "cancel" | "redrive",
  of: readonly (keyof FlowStatus["counts"])[],
): Promise<void> {
  const { counts } = await client.flows.flow(key).status();
  const matched = of.reduce((sum, name) => sum + counts[name], 0);
  view.show({ matched, dryRun: true }, () =>
    view.line(`${verb} would meet ${count(matched)} members; nothing was changed`),
  );
}

async function list(
  { client, view }: Session,
  { state, name, limit }: { state?: FlowState; name?: string; limit: number },
): Promise<void> {
  const filter = { ...(state !== undefined && { state }), ...(name !== undefined && { name }) };
  const shown: FlowStatus[] = [];
  let told = 0;
  let more = false;
  for await (const each of client.flows.list(filter)) {
    if (told === limit) {
      more = true;
      break;
    }
    told++;
    if (view.machine) view.line(json(each));
    else shown.push(each);
  }
  if (!view.machine) view.rows(shown, flowColumns, "no flows match");
  if (more) view.note(`the first ${count(told)}; --limit shows more`);
}

async function show({ client, view }: Session, key: string, limit: number): Promise<void> {
  const handle = client.flows.flow(key);
  const status = await handle.status();
  const members: FlowMemberStatus[] = [];
  for await (const member of handle.members()) {
    if (members.length === limit) break;
    members.push(member);
  }
  view.show({ ...status, members }, () => {
    view.record([
      ["key", status.key],
      ["name", status.name],
      ["state", status.state.toLowerCase()],
      ["members", countsOf(status)],
      ["submitted", when(status.submittedAt)],
      ["finished", when(status.finishedAt)],
      ["deadline", when(status.deadline)],
      ["labels", pairs(status.labels)],
      ["failure", failureOf(status)],
    ]);
    view.line("");
    for (const line of view.table(members, memberColumns)) view.line(line);
    if (status.counts.total > members.length)
      view.note(`the first ${count(members.length)} members; --limit shows more`);
  });
}

function ended(counts: FlowStatus["counts"]): number {
  return counts.succeeded + counts.failed + counts.cancelled;
}

function countsOf({ counts }: FlowStatus): string {
  const parts = (["blocked", "open", "succeeded", "failed", "cancelled"] as const)
    .filter((name) => counts[name] > 0)
    .map((name) => `${count(counts[name])} ${name}`);
  return `${count(counts.total)}: ${parts.join(", ")}`;
}

function failureOf({ failure, failedMember }: FlowStatus): string | undefined {
  if (failure === undefined) return undefined;
  return `member ${failedMember}: ${[failure.reason, failure.type, failure.message].filter(Boolean).join(": ")}`;
}
