// README.md is what a stranger believes. What can be compared with the code is compared here; what its programs do is
// seen in test/polyglot/readme.test.ts.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FailureReason } from "@drover/proto/v1";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { settings } from "../../broker/src/config.js";
import { codeOf } from "../../broker/src/grpc/status.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const readme = read("README.md");

/** The lines between `<!-- name: ... -->` and `<!-- /name -->`. */
function marked(name: string): string {
  const found = new RegExp(`<!-- ${name}:[^>]*-->\\n([\\s\\S]*?)<!-- /${name} -->`).exec(readme)?.[1];
  if (found === undefined) throw new Error(`README.md has no part marked ${name}`);
  return found;
}

/** The cells of a table's rows, without its head. */
function rowsOf(table: string): string[][] {
  const rows = table.trim().split("\n").slice(2);
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}

const code = (text: string) => `\`${text}\``;

test("every setting stands in the README as the broker has it", () => {
  const real = Object.values(settings).map(({ name, fallback, takes, help }) => [
    code(name),
    fallback === "" ? "unset" : code(fallback),
    takes.replaceAll("|", "\\|"),
    help,
  ]);
  // After a change of a setting: what is expected here belongs into README.md.
  expect(rowsOf(marked("settings"))).toEqual(real);
});

test("every reason of a refusal stands in the README with its status", () => {
  const documented = rowsOf(marked("reasons")).map(([reason, code]) => [reason, code]);
  const real = Object.entries(codeOf).map(([reason, number]) => [code(reason), status[number]]);
  expect(documented.sort()).toEqual(real.sort());
});

test("every reason of a failure stands in the README", () => {
  const documented = rowsOf(marked("failures")).map(([reason]) => reason);
  const real = Object.keys(FailureReason)
    .filter((name) => name.startsWith("FAILURE_REASON_") && !name.endsWith("_UNSPECIFIED"))
    .map((name) => code(name.replace("FAILURE_REASON_", "")));
  expect(documented.sort()).toEqual(real.sort());
});

test("every direct dependency stands in the README with its reason, and no other", () => {
  const documented = rowsOf(marked("dependencies")).map(([name]) => /`([^`]+)`/.exec(name ?? "")?.[1]);
  const npm = ["package.json", "proto/package.json", "broker/package.json"]
    .concat(["worker-sdk", "client-sdk"].map((sdk) => `${sdk}/typescript/package.json`))
    .flatMap((manifest) => {
      const { dependencies = {}, devDependencies = {} } = JSON.parse(read(manifest));
      return Object.keys({ ...dependencies, ...devDependencies }).filter(
        (name) => !name.startsWith("@drover/"),
      );
    });
  const python = ["worker-sdk", "client-sdk"].flatMap((sdk) => {
    const list = /^dependencies = \[(.*)\]/m.exec(read(`${sdk}/python/pyproject.toml`))?.[1] ?? "";
    return [...list.matchAll(/"([\w-]+)/g)].map(([, name]) => name);
  });
  const go = ["worker-sdk", "client-sdk"].flatMap((sdk) =>
    [...read(`${sdk}/go/go.mod`).matchAll(/^\t(\S+) v\S+$/gm)]
      .map(([, name]) => name)
      .filter((name) => !name?.startsWith("github.com/drover-dev/")),
  );
  expect(documented.sort()).toEqual([...new Set([...npm, ...python, ...go])].sort());
});

describe("what the README points at is there", () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, target]) => target ?? "");

  test.each([...new Set(links.filter((link) => !link.startsWith("#")))])("%s", (path) => {
    expect(existsSync(join(root, path))).toBe(true);
  });

  test.each([...new Set(links.filter((link) => link.startsWith("#")))])("%s", (anchor) => {
    const headings = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading ?? "");
    expect(headings.map((heading) => `#${heading.toLowerCase().replaceAll(" ", "-")}`)).toContain(anchor);
  });

  const map = rowsOf(readme.slice(readme.indexOf("| path | what |")).split("\n\n")[0] ?? "");
  const paths = map.flatMap(([cell]) =>
    [...(cell ?? "").matchAll(/`([^`]+)`/g)].map(([, path]) => path ?? ""),
  );

  test.each(paths)("%s, on the map", (path) => {
    expect(existsSync(join(root, path))).toBe(true);
  });

  const { scripts } = JSON.parse(read("package.json"));
  const commands = [...readme.matchAll(/npm (?:run ([\w:]+)|(test|start))/g)].map(([, a, b]) => a ?? b ?? "");

  test.each([...new Set(commands)])("npm's script %s", (script) => {
    expect(scripts).toHaveProperty([script]);
  });
});

test("every promise on the conformance list has a test in the table that all SDKs run", () => {
  const list = rowsOf(read("worker-sdk/README.md").split("<!-- conformance -->\n")[1] ?? "");
  expect(list.length).toBeGreaterThan(10);
  const tests = ["workers", "bad-input"].map((name) => read(`test/polyglot/${name}.test.ts`)).join();
  for (const [, named = ""] of list)
    for (const [, title = ""] of named.matchAll(/`([^`]+)`/g)) expect(tests).toContain(title);
});

describe("deploy/README.md says what to do on each alert, under a heading of its own", () => {
  const guide = read("deploy/README.md");
  const alerts = [...read("deploy/prometheus/alerts.yaml").matchAll(/- alert: (\w+)/g)].map(
    ([, name]) => name ?? "",
  );

  test.each(alerts)("%s", (alert) => {
    const [, ...parts] = guide.split(`### ${alert}\n`);
    expect(parts).toHaveLength(1);
    expect(parts[0]?.split("\n#")[0]?.trim().length).toBeGreaterThan(60);
  });

  test("and there are alerts", () => {
    expect(alerts.length).toBeGreaterThan(5);
  });
});
