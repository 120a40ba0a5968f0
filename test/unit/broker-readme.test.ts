// The broker's README draws the state machine and the store for people. Here it is held to what the code does.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Standing } from "../../broker/src/core/job.js";
import { transitions } from "../../broker/src/core/transitions.js";
import { dueConsumer } from "../../broker/src/jetstream/due.js";
import { flowConsumer } from "../../broker/src/jetstream/flow-store.js";
import { laneName } from "../../broker/src/jetstream/lane-consumers.js";
import { firingConsumer } from "../../broker/src/jetstream/schedule-store.js";
import { metadataKeys, storageFormat } from "../../broker/src/jetstream/stream-config.js";
import { Subjects } from "../../broker/src/jetstream/subjects.js";

const broker = fileURLToPath(new URL("../../broker/", import.meta.url));
const text = readFileSync(`${broker}README.md`, "utf8");

/** The cells of the table whose first heading is this. */
function tableOf(heading: string): string[][] {
  const lines = text.split("\n");
  const first = lines.findIndex((line) => line.startsWith(`| ${heading} `));
  const rows = lines.slice(first);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows
    .slice(0, end)
    .filter((line) => !line.startsWith("| ---"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

test("its table of transitions is the code's, cell by cell", () => {
  const [head = [], ...rows] = tableOf("event");
  const standings = head.slice(1) as Standing[];
  const drawn = Object.fromEntries(
    rows.map(([event, ...cells]) => {
      const allowed = standings.flatMap((from, i) => {
        const to = cells[i] ?? "";
        return to === "" ? [] : [[from, to.split(" ")]];
      });
      return [event, Object.fromEntries(allowed)];
    }),
  );
  expect(drawn).toEqual(transitions);
});

test("its drawing names every event that the table knows", () => {
  const drawing = /```text\n([^`]+)```/.exec(text)?.[1] ?? "";
  const missing = Object.keys(transitions).filter((event) => !new RegExp(`\\b${event}\\b`).test(drawing));
  // A ticket that is put back or comes too late: these are told in words and in the table.
  expect(missing).toEqual(["reissue", "expire"]);
});

test("its layout names every folder, and no file that is not there", () => {
  const rows = tableOf("folder").slice(1);
  const folders = rows.map(([name = ""]) => name.replaceAll(/[`/]/g, ""));
  const there = readdirSync(`${broker}src`, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.sort()).toEqual(there.map(({ name }) => name).sort());
  for (const [name = "", holds = ""] of rows) {
    const folder = name.replaceAll("`", "");
    for (const [, file] of holds.matchAll(/`([\w-]+\.ts)`/g)) {
      expect(existsSync(`${broker}src/${folder}${file}`), `${folder}${file}`).toBe(true);
    }
  }
});

describe("what it says of the store", () => {
  const subjects = new Subjects("ns", 1);
  const ref = { task: "mail.send", key: "k" };
  const concurrencyKey = { task: "mail.send", key: "customer" };
  const limited = { kind: "queue", name: "mail" } as const;
  /** By the method that makes it. */
  const written = {
    job: [subjects.job("ready", ref, "mail", 5)],
    schedule: [subjects.schedule("later", ref, "mail", 5, "nonce-1")],
    body: [subjects.body(ref)],
    claim: [subjects.claim("mail.send", "u")],
    keyUse: [subjects.keyUse(concurrencyKey)],
    parked: [subjects.parked(concurrencyKey, 5, "k")],
    queue: [subjects.queue("mail")],
    taskSettings: [subjects.taskSettings("mail.send")],
    rateBook: [subjects.rateBook(limited)],
    places: [subjects.places(limited, "broker-1")],
    routes: [subjects.routes()],
    schedules: [subjects.schedules("record", "nightly"), subjects.schedules("alarm", "nightly")],
    firing: [subjects.firing("nightly")],
    flow: [subjects.flow("record", "f"), subjects.flow("alarm", "f")],
    flowPart: [subjects.flowPart("f", 0)],
    flowEnd: [subjects.flowEnd(0, "f", "7")],
  };
  const filters = ["all", "bodies", "flowEnds", "flowRecords", "inEachShard", "keyUses", "lane", "ofJob"];
  const others = ["constructor", "parkedOf", "phase", "queues", "shard", "stream", "tasksSettings"];
  const drawn = tableOf("subject")
    .slice(1)
    .map(([cell = ""]) => cell.replaceAll("`", ""));
  const matching = (subject: string) =>
    drawn.filter((each) => new RegExp(`^${each.replace(/<[^>]+>/g, "[^.]+")}$`).test(subject));

  test("every subject that a broker writes is one of its list", () => {
    const makers = Object.getOwnPropertyNames(Subjects.prototype);
    expect(makers.sort()).toEqual([...Object.keys(written), ...filters, ...others].sort());
    for (const subject of Object.values(written).flat()) expect(matching(subject), subject).toHaveLength(1);
  });

  test("nothing else is on its list", () => {
    const used = new Set(Object.values(written).flat().flatMap(matching));
    expect(drawn.filter((each) => !used.has(each))).toEqual([]);
  });

  test("its durable consumers are those that brokers pull from", () => {
    const named = tableOf("durable consumer")
      .slice(1)
      .map(([name = ""]) => name.replaceAll("`", ""));
    expect(named).toEqual(["lane_<hash>", dueConsumer, flowConsumer, firingConsumer]);
    expect(laneName("any filter")).toMatch(/^lane_[0-9a-f]+$/);
  });

  test("its storage format and its metadata are the code's", () => {
    const [, said] =
      /The storage format, `drover-format` in each stream's metadata, is (\d+):/.exec(text) ?? [];
    expect(said).toBe(storageFormat);
    for (const key of Object.values(metadataKeys)) expect(text).toContain(`\`${key}\``);
  });
});
