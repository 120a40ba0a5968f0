// `drover route ...`: which queue and priority jobs of a task get when their submit does not say.

import type { Command } from "commander";
import { Option } from "commander";
import type { OwnedRoute, Route } from "../routes.js";
import { examples } from "./examples.js";
import { usage } from "./exit.js";
import type { Io } from "./io.js";
import { pairs } from "./job-view.js";
import { toPair, toWhole } from "./parse.js";
import { readAll, withSession } from "./session.js";
import type { Column, View } from "./view.js";

const columns: readonly Column<OwnedRoute>[] = [
  { title: "owner", of: ({ owner }) => owner },
  { title: "name", of: ({ name }) => name },
  { title: "task", of: ({ task }) => task },
  { title: "labels", of: ({ labels }) => pairs(labels ?? {}) },
  { title: "queue", of: ({ queue }) => queue ?? "" },
  { title: "prio", of: ({ priority }) => priority ?? "", right: true },
];

interface Changes {
  added: readonly string[];
  changed: readonly string[];
  removed: readonly string[];
}

export function addRoutes(program: Command, io: Io): void {
  const route = program
    .command("route")
    .description(
      "Which queue and priority jobs get when their submit does not say: the first route that matches.",
    )
    .addHelpText(
      "after",
      examples("route ls", "route put shop routes.json --dry-run", "route test mail.send --label country=de"),
    );

  route
    .command("ls")
    .description("All routes, in the order in which they are tried.")
    .addHelpText("after", examples("route ls", "-o json route ls"))
    .action((_: object, command: Command) =>
      withSession(io, command, async ({ client, view }) =>
        view.rows((await client.routes.list()).routes, columns, "no routes: jobs go where their submits say"),
      ),
    );

  route
    .command("put")
    .description(
      "Replace an owner's routes by those of a file: a JSON array of {name, task, labels?, queue?, priority?}.",
    )
    .argument("<owner>", "who declares them, normally the application")
    .argument("<file>", "JSON, or - for standard input")
    .option("--dry-run", "only say what would change")
    .addHelpText("after", examples("route put shop routes.json", "route put shop routes.json --dry-run"))
    .action((owner: string, file: string, options: { dryRun?: true }, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        const dryRun = options.dryRun === true;
        const put = await client.routes.put(owner, await routesIn(io, file), { dryRun });
        view.show(put, () => tellChanges(view, put, dryRun));
      }),
    );

  route
    .command("test")
    .description("Which route a job would take, without submitting it.")
    .argument("<task>")
    .addOption(new Option("-l, --label <name=value>", "may be repeated").argParser(toPair))
    .option("-q, --queue <name>", "as if the submit said so")
    .addOption(new Option("-p, --priority <0-9>", "as if the submit said so").argParser(toWhole(0, 9)))
    .addHelpText(
      "after",
      examples("route test mail.send --label country=de", "route test mail.send --priority 9"),
    )
    .action((task: string, options: TestFlags, command: Command) =>
      withSession(io, command, async ({ client, view }) => {
        const { label, queue, priority } = options;
        const tested = await client.routes.test(task, {
          ...(label !== undefined && { labels: label }),
          ...(queue !== undefined && { queue }),
          ...(priority !== undefined && { priority }),
        });
        view.show(tested, () =>
          view.record([
            [
              "route",
              tested.route === undefined ? "none matches" : `${tested.route.name} of ${tested.route.owner}`,
            ],
            ["queue", tested.queue],
            ["priority", tested.priority],
          ]),
        );
      }),
    );
}

interface TestFlags {
  label?: Record<string, string>;
  queue?: string;
  priority?: number;
}

function tellChanges(view: View, { added, changed, removed }: Changes, dryRun: boolean): void {
  const told = [
    ["added", added],
    ["changed", changed],
    ["removed", removed],
  ] as const;
  for (const [what, names] of told) if (names.length > 0) view.line(`${what}: ${names.join(", ")}`);
  if (told.every(([, names]) => names.length === 0)) view.line("no changes");
  if (dryRun) view.note("nothing was changed: a dry run");
}

async function routesIn(io: Io, file: string): Promise<Route[]> {
  const text = await readAll(io, file);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.toString());
  } catch (error) {
    throw usage(`${file} is not JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(parsed)) throw usage(`${file} is no JSON array of routes`);
  return parsed.map((each, i) => routeIn(each, `route ${i + 1} of ${file}`));
}

const fields = ["name", "task", "labels", "queue", "priority"];

/** What is of the wrong kind is said here; what is a bad name or glob, the broker says. */
function routeIn(value: unknown, what: string): Route {
  if (typeof value !== "object" || value === null) throw usage(`${what} is no object`);
  const unknown = Object.keys(value).find((name) => !fields.includes(name));
  if (unknown !== undefined) throw usage(`${what} has no field ${unknown}: use ${fields.join(", ")}`);
  const { name, task, labels, queue, priority } = value as Record<string, unknown>;
  if (typeof name !== "string" || typeof task !== "string") throw usage(`${what} needs a name and a task`);
  if (queue !== undefined && typeof queue !== "string") throw usage(`${what}: its queue is no text`);
  if (priority !== undefined && typeof priority !== "number")
    throw usage(`${what}: its priority is no number`);
  return {
    name,
    task,
    ...(labels !== undefined && { labels: labelsIn(labels, what) }),
    ...(queue !== undefined && { queue }),
    ...(priority !== undefined && { priority }),
  };
}

function labelsIn(labels: unknown, what: string): Record<string, string> {
  const entries = typeof labels === "object" && labels !== null ? Object.entries(labels) : [];
  if (Array.isArray(labels) || entries.some(([, value]) => typeof value !== "string")) {
    throw usage(`${what}: its labels are no object of texts`);
  }
  return Object.fromEntries(entries);
}
