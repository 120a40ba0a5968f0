// `drover schedule ...`: jobs that are submitted by time.

import { type Command, Option } from "commander";
import type {
  Firing,
  MisfireRule,
  OverlapRule,
  Schedule,
  ScheduleRule,
  ScheduleStatus,
} from "../schedules.js";
import type { JobOptions } from "../spec.js";
import { examples } from "./examples.js";
import { usage } from "./exit.js";
import type { Io } from "./io.js";
import { when } from "./job-view.js";
import { toDuration, toTime, toWhole, wordOption } from "./parse.js";
import { payloadOf } from "./payload-argument.js";
import { withSession } from "./session.js";
import type { Column, View } from "./view.js";

const columns: readonly Column<ScheduleStatus>[] = [
  { title: "name", of: ({ name }) => name },
  { title: "owner", of: ({ owner }) => owner },
  { title: "task", of: ({ task }) => task },
  { title: "rule", of: ruleOf },
  {
    title: "next",
    of: ({ paused, nextAt }) => (paused === true ? "paused" : (when(nextAt) ?? "never")),
    tint: ({ paused }) => (paused === true ? "yellow" : undefined),
  },
];

const firingColumns: readonly Column<Firing>[] = [
  { title: "planned", of: ({ plannedAt }) => when(plannedAt) ?? "" },
  {
    title: "outcome",
    of: ({ outcome }) => outcome,
    tint: (firing) => (firing.outcome === "refused" ? "red" : undefined),
  },
  {
    title: "about",
    of: ({ jobId, count, detail }) => jobId || detail || (count > 0 ? `${count} times` : ""),
  },
];

interface RuleFlags {
  cron?: string;
  every?: number;
  zone?: string;
  start?: Date;
  end?: Date;
}

interface PutFlags extends RuleFlags {
  owner: string;
  queue?: string;
  priority?: number;
  overlap?: OverlapRule;
  misfire?: MisfireRule;
  maxCatchUp?: number;
  jitter?: number;
  paused?: true;
  description?: string;
  dryRun?: true;
}

export function addSchedules(program: Command, io: Io): void {
  const schedule = program
    .command("schedule")
    .description("Jobs that the broker submits by time.")
    .addHelpText(
      "after",
      examples(
        'schedule put nightly report.make --cron "0 3 * * *" --zone Europe/Berlin',
        "schedule ls",
        "schedule trigger nightly",
      ),
    );

  schedule
    .command("ls")
    .description("All schedules, in the order of their names.")
    .option("--owner <name>", "only this one's")
    .option("--task <name>", "only those of this task")
    .addHelpText("after", examples("schedule ls", "schedule ls --owner shop"))
    .action((filter: { owner?: string; task?: string }, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        const found: ScheduleStatus[] = [];
        for await (const each of client.schedules.list(filter)) found.push(each);
        view.rows(found, columns, "no schedules");
      }),
    );

  schedule
    .command("show")
    .description("A schedule and its last firings.")
    .argument("<name>")
    .addHelpText("after", examples("schedule show nightly"))
    .action((name: string, _: object, command: Command) =>
      withSession(io, command, async ({ client, view }) => show(view, await client.schedules.get(name))),
    );

  withRule(schedule.command("put"))
    .description("Declare a schedule, or change it.")
    .argument("<name>")
    .argument("<task>")
    .argument("[payload]", "JSON, @FILE or -; default: null")
    .option("--owner <name>", "who declares it: another owner's is not changed", "drover")
    .option("-q, --queue <name>")
    .addOption(new Option("-p, --priority <0-9>").argParser(toWhole(0, 9)))
    .addOption(
      wordOption("--overlap <policy>", "while an earlier job has not ended", [
        "allow",
        "skip",
        "cancel-previous",
      ]),
    )
    .addOption(
      wordOption("--misfire <policy>", "for times that passed while no broker was there", [
        "once",
        "skip",
        "catch-up",
      ]),
    )
    .addOption(new Option("--max-catch-up <n>", "with catch-up").argParser(toWhole(1, 1_000)))
    .addOption(
      new Option("--jitter <duration>", "each job starts up to this much later").argParser(toDuration),
    )
    .option("--paused")
    .option("--description <text>")
    .option("--dry-run", "only say what would change")
    .addHelpText(
      "after",
      examples(
        'schedule put nightly report.make --cron "0 3 * * *" --zone Europe/Berlin',
        `schedule put beat health.check '{"deep":true}' --every 30s --overlap skip`,
      ),
    )
    .action((name: string, task: string, payload: string | undefined, flags: PutFlags, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        const declared = await declare(io, name, task, payload, flags);
        const put = await client.schedules.put(flags.owner, [declared], { dryRun: flags.dryRun === true });
        view.show(put, () => {
          const { added, changed, unchanged } = put;
          for (const [what, names] of Object.entries({ added, changed, unchanged })) {
            if (names.length > 0) view.line(`${what}: ${names.join(", ")}`);
          }
          if (flags.dryRun === true) view.note("nothing was changed: a dry run");
        });
      }),
    );

  for (const [verb, what] of [
    ["pause", "Submit nothing until it is resumed."],
    ["resume", "Go on from now; what fell into the pause is not made up."],
  ] as const) {
    schedule
      .command(verb)
      .description(what)
      .argument("<name>")
      .addHelpText("after", examples(`schedule ${verb} nightly`))
      .action((name: string, _: object, command: Command) =>
        withSession(io, command, async ({ client, view }) => show(view, await client.schedules[verb](name))),
      );
  }

  schedule
    .command("trigger")
    .description("Submit its job now, paused or not. Says the job's id.")
    .argument("<name>")
    .addHelpText("after", examples("schedule trigger nightly", "status $(drover schedule trigger nightly)"))
    .action((name: string, _: object, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        const id = await client.schedules.trigger(name);
        view.show({ id }, () => view.line(id));
      }),
    );

  schedule
    .command("rm")
    .description("Remove it. Jobs that it submitted are left alone.")
    .argument("<name>")
    .option("--dry-run", "only say what would be removed")
    .addHelpText("after", examples("schedule rm nightly --dry-run", "schedule rm nightly"))
    .action((name: string, { dryRun = false }: { dryRun?: boolean }, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        await client.schedules.get(name);
        if (!dryRun) await client.schedules.delete(name);
        view.show({ schedule: name, dryRun }, () =>
          view.line(dryRun ? `would remove ${name}; nothing was changed` : `removed ${name}`),
        );
      }),
    );

  withRule(schedule.command("preview"))
    .description("The next times of a schedule, or of a rule that none has yet.")
    .argument("[name]")
    .addOption(new Option("--count <n>", "how many").argParser(toWhole(1, 1_000)))
    .addOption(new Option("--from <time>", "from when on; default: now").argParser(toTime))
    .addHelpText(
      "after",
      examples("schedule preview nightly", 'schedule preview --cron "*/5 9-17 * * MON-FRI" --count 20'),
    )
    .action(
      (name: string | undefined, flags: RuleFlags & { count?: number; from?: Date }, command: Command) =>
        withSession(io, command, async ({ client, view }) => {
          const { count, from, ...rule } = flags;
          if ((name === undefined) === (rule.cron === undefined && rule.every === undefined)) {
            throw usage("say the name of a schedule, or a rule: --cron or --every");
          }
          const times = await client.schedules.preview(name ?? toRule(rule), {
            ...(count !== undefined && { count }),
            ...(from !== undefined && { from }),
          });
          view.show(times, () => {
            for (const time of times) view.line(time.toISOString());
            if (times.length === 0) view.note("never again");
          });
        }),
    );
}

function withRule(command: Command): Command {
  return command
    .option("--cron <rule>", "five fields, or six with the second first; or @daily and its like")
    .addOption(new Option("--every <duration>", "instead: 1s to 365d").argParser(toDuration))
    .option("--zone <name>", "for --cron: an IANA time zone; default: UTC")
    .addOption(new Option("--start <time>", "no time before").argParser(toTime))
    .addOption(new Option("--end <time>", "no time at or after").argParser(toTime));
}

function toRule({ cron, every, zone, start, end }: RuleFlags): ScheduleRule {
  return {
    ...(cron !== undefined && { cron }),
    ...(every !== undefined && { every }),
    ...(zone !== undefined && { timeZone: zone }),
    ...(start !== undefined && { startAt: start }),
    ...(end !== undefined && { endAt: end }),
  };
}

async function declare(
  io: Io,
  name: string,
  task: string,
  payload: string | undefined,
  flags: PutFlags,
): Promise<Schedule> {
  if ((flags.cron === undefined) === (flags.every === undefined))
    throw usage("say one of --cron and --every");
  const { queue, priority, overlap, misfire, maxCatchUp, jitter, paused, description } = flags;
  const job: JobOptions = {
    ...(queue !== undefined && { queue }),
    ...(priority !== undefined && { priority }),
  };
  return {
    ...toRule(flags),
    name,
    task,
    payload: await payloadOf(io, payload, undefined),
    job,
    ...(overlap !== undefined && { overlap }),
    ...(misfire !== undefined && { misfire }),
    ...(maxCatchUp !== undefined && { maxCatchUp }),
    ...(jitter !== undefined && { jitter }),
    ...(paused !== undefined && { paused }),
    ...(description !== undefined && { description }),
  };
}

function ruleOf({ cron, every, timeZone }: ScheduleRule): string {
  if (cron !== undefined) return `${cron}${timeZone === undefined ? "" : ` ${timeZone}`}`;
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1_000],
  ] as const;
  const [unit, ms] = units.find(([, size]) => (every ?? 0) % size === 0) ?? ["ms", 1];
  return `every ${(every ?? 0) / ms}${unit}`;
}

function show(view: View, schedule: ScheduleStatus): void {
  view.show(schedule, () => {
    view.record([
      ["name", schedule.name],
      ["owner", schedule.owner],
      ["task", schedule.task],
      ["rule", ruleOf(schedule)],
      ["state", schedule.paused === true ? "paused" : "active"],
      ["next", when(schedule.nextAt)],
      ["overlap", schedule.overlap],
      ["misfire", schedule.misfire],
      ["about", schedule.description],
    ]);
    if (schedule.firings.length > 0)
      for (const line of view.table(schedule.firings, firingColumns)) view.line(line);
  });
}
