// `npm run demo`: a broker, workers in three languages, real work, some mishaps, and a look at whether all of it went as
// promised.
//   npm run demo -- FOLDER    works on the documents of that folder instead of this repository's
import { resolve } from "node:path";
import { Client } from "@drover/client";
import { root } from "../support/paths.mjs";
import { dim, red, yellow } from "../support/progress.mjs";
import { documents } from "./acts/documents.mjs";
import { books, cancel, deadLetter, kill, once } from "./acts/ends.mjs";
import { delay, priority, progress, retry } from "./acts/timing.mjs";
import { findCast, namesOf } from "./cast.mjs";
import { mark, report, sharesOf } from "./report.mjs";
import { many, Screen } from "./screen.mjs";
import { Show } from "./show.mjs";
import { Stage } from "./stage.mjs";
import { textsOf } from "./texts.mjs";

/** Side by side; the kill comes after those whose jobs it would disturb, the books at the very end. */
const program = [[documents, priority, delay, retry, deadLetter, once, progress, cancel], [kill], [books]];

async function play(stage, screen, texts) {
  const { cast, missing } = await findCast((text) => screen.say(text));
  for (const [language, why] of missing)
    screen.say(yellow(`going on without ${namesOf([language])}: ${why}`));
  await stage.startBroker();
  screen.say(`a broker of our own listens on ${stage.address}`);
  for (const processes of cast.values())
    for (const [name, command] of Object.entries(processes)) stage.startWorker(name, command);
  const client = new Client({ address: stage.address });
  const show = new Show({ client, stage, screen, texts, languages: new Set(cast.keys()) });
  try {
    await show.until("all workers to attach", async () => {
      stage.checkAlive();
      return (await client.inspect.workers()).items.length === stage.workers.length;
    });
    screen.say(`workers attached: ${stage.workers.map(({ name }) => name).join(", ")}`);
    const results = [];
    screen.open(() => [`${results.length} of ${program.flat().length} acts`, ...show.notes].join(" · "));
    for (const scene of program) {
      await Promise.all(
        scene.map(async (act) => {
          const result = await perform(act, show);
          results.push(result);
          screen.say(`${mark(result)} ${act.title}`);
        }),
      );
    }
    return { results, missing, shares: await sharesOf(client, stage) };
  } finally {
    screen.close();
    client.close();
  }
}

async function perform(act, show) {
  const lacking = act.by.filter((language) => !show.languages.has(language));
  // The documents go to whoever is here.
  if (lacking.length > 0 && act !== documents) return { act, skipped: `needs ${namesOf(lacking)}` };
  try {
    return { act, seen: await act.run(show) };
  } catch (error) {
    return { act, error };
  } finally {
    show.note(act.title);
  }
}

let signalledAt = 0;

/** Ends in order at the first signal, at once at a second. npm passes on what the terminal has sent to both of us, so
 *  two within a second are one. */
function onSignals(end) {
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.on(signal, () => {
      if (signalledAt === 0) {
        signalledAt = performance.now();
        void end(signal).then(() => process.exit(128 + number));
      } else if (performance.now() - signalledAt > 1_000) process.exit(128 + number);
    });
  }
}

async function main([folder, ...rest]) {
  if (rest.length > 0 || folder?.startsWith("-")) throw new Error("usage: npm run demo -- [FOLDER]");
  const { texts, passedOver } = textsOf(
    folder === undefined ? root : resolve(process.env.INIT_CWD ?? "", folder),
  );
  const screen = new Screen();
  const stage = new Stage();
  onSignals((signal) => {
    screen.close();
    console.log(`\n${signal}: ending the workers and the broker`);
    return stage.close({ hurry: true });
  });
  if (passedOver > 0) {
    const why = "empty, not UTF-8, too large, or too many";
    screen.say(dim(`${many(passedOver, "document")} passed over: ${why}`));
  }
  try {
    const played = await play(stage, screen, texts);
    const complaints = await stage.close();
    return report({ ...played, complaints, took: screen.seconds() });
  } catch (error) {
    if (signalledAt === 0) stage.tellLastWords();
    await stage.close({ hurry: true });
    throw error;
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // After a signal whatever breaks breaks because of it.
  if (signalledAt === 0) {
    console.error(red(error.message));
    process.exitCode = 1;
  }
}
