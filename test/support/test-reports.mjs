// Counts of tests, from what the test runners write: `{ passed, failed, skipped }`.
import { existsSync, readFileSync } from "node:fs";

export const none = { passed: 0, failed: 0, skipped: 0 };

export const sum = (counts) =>
  counts.reduce(
    (all, one) => ({
      passed: all.passed + one.passed,
      failed: all.failed + one.failed,
      skipped: all.skipped + one.skipped,
    }),
    none,
  );

/** A runner that failed without a failing test (it did not compile, it crashed) has failed once all the same. */
export const atLeastOneFailure = (counts, failed) =>
  failed && counts.failed === 0 ? { ...counts, failed: 1 } : counts;

export function vitestCounts(file) {
  if (!existsSync(file)) return none;
  const { testResults } = JSON.parse(readFileSync(file, "utf8"));
  const perFile = testResults.map(({ status, assertionResults }) => {
    const count = (...states) => assertionResults.filter((test) => states.includes(test.status)).length;
    const counts = {
      passed: count("passed"),
      failed: count("failed"),
      skipped: count("pending", "skipped", "todo"),
    };
    return atLeastOneFailure(counts, status === "failed");
  });
  return sum(perFile);
}

/** JUnit's XML, as pytest writes it. */
export function junitCounts(file) {
  if (!existsSync(file)) return none;
  const suites = readFileSync(file, "utf8").match(/<testsuite [^>]*>/g) ?? [];
  return sum(
    suites.map((suite) => {
      const number = (name) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
      const [failed, skipped] = [number("failures") + number("errors"), number("skipped")];
      return { passed: number("tests") - failed - skipped, failed, skipped };
    }),
  );
}

/** The events of `go test -json`. A test that has subtests is not counted beside them. */
export function goTestCounts(stdout) {
  const events = stdout.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
  const verdicts = events.filter(({ Test, Action }) => Test && ["pass", "fail", "skip"].includes(Action));
  const parents = new Set(
    verdicts.flatMap(({ Package, Test }) =>
      [...Test.matchAll(/\//g)].map(({ index }) => `${Package} ${Test.slice(0, index)}`),
    ),
  );
  const leaves = verdicts.filter(({ Package, Test }) => !parents.has(`${Package} ${Test}`));
  const count = (action) => leaves.filter(({ Action }) => Action === action).length;
  return { passed: count("pass"), failed: count("fail"), skipped: count("skip") };
}

/** What a reader wants of `go test -json`: the text of what failed, and whatever is no test's. */
export function goTestText(output) {
  const lines = output
    .split("\n")
    .map((line) => (line.startsWith("{") ? JSON.parse(line) : { Output: `${line}\n` }));
  const name = ({ Package, Test }) => `${Package} ${Test}`;
  const failed = new Set(lines.filter(({ Action }) => Action === "fail").map(name));
  return lines
    .filter((line) => !line.Test || failed.has(name(line)))
    .map(({ Output = "" }) => Output)
    .join("");
}
