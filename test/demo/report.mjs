// What is told at the end: who did how much, what was seen of each promise, and the verdict.
import { green, red, yellow } from "../support/progress.mjs";
import { namesOf } from "./cast.mjs";
import { count, many, table } from "./screen.mjs";

// Where the result counts, nothing may be passed over for want of a language.
const strict = !["", "0", "false"].includes(process.env.CI ?? "");

const signs = { seen: ["✓", green], skipped: ["-", yellow], error: ["✗", red] };

const kindOf = (result) => Object.keys(signs).find((kind) => result[kind] !== undefined);

/** An act's result for its line: `{ act, seen | skipped | error }`. */
export function mark(result) {
  const [sign, paint] = signs[kindOf(result)];
  return paint(sign);
}

/** For each worker: its name, its process, and how many jobs it ended well. */
export async function sharesOf(client, stage) {
  const shares = new Map();
  for await (const { worker, task } of client.list({ state: "SUCCEEDED", pageSize: 1_000 })) {
    const tasks = shares.get(worker) ?? new Map();
    shares.set(worker, tasks.set(task, (tasks.get(task) ?? 0) + 1));
  }
  return stage.workers.map(({ name, pid }) => {
    const tasks = [...(shares.get(name) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return [name, String(pid), tasks.map(([task, number]) => `${task} ${count(number)}`).join(", ")];
  });
}

/** The exit code. `complaints`: what went wrong with processes. */
export function report({ results, missing, shares, complaints, took }) {
  console.log("");
  table(["worker", "pid", "jobs succeeded"], shares);
  console.log("");
  const rows = results.map((result) => {
    const { act, error } = result;
    const told = error ? error.message.split("\n")[0] : result[kindOf(result)];
    return [signs[kindOf(result)][0], act.title, namesOf(act.by), told];
  });
  const colours = new Map(rows.map((row, index) => [row, signs[kindOf(results[index])][1]]));
  table(["", "what", "by", "what was seen"], rows, (text, row, column) =>
    column === 0 ? colours.get(row)(text) : text,
  );
  console.log("");
  return verdict({ results, missing, complaints, took });
}

function verdict({ results, missing, complaints, took }) {
  const failed = results.filter(({ error }) => error);
  for (const { act, error } of failed) console.log(red(`${act.title}: ${error.stack}`));
  for (const complaint of complaints) console.log(red(complaint));
  const skipped = results.filter((result) => result.skipped).length;
  const absent = namesOf([...missing.keys()]);
  if (failed.length > 0 || complaints.length > 0) {
    const wrong = [many(failed.length, "act"), many(complaints.length, "process", "processes")].join(" and ");
    console.log(red(`Not as promised: ${wrong}.`));
    return 1;
  }
  const played = results.length - skipped;
  const all = missing.size === 0 ? `All ${played} acts` : `${played} acts`;
  console.log(green(`${all} went as promised, and every process has ended (${took}).`));
  if (missing.size === 0) return 0;
  const why = strict ? ", and with CI set nothing may be" : "";
  console.log(yellow(`${many(skipped, "act")} left out: ${absent} missing${why}.`));
  return strict ? 1 : 0;
}
