// What is measured in each language: the worker (worker.mjs, worker.py, worker.go), and the test fixture (fixture.mjs ...).
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensure } from "../support/bootstrap.mjs";
import { cache, root, toolsBin, venvPython } from "../support/paths.mjs";
import { Running } from "./processes.mjs";

const goProgram = (name) => join(cache, "bench", name);
const programOf = (name) => join(root, "test/bench", name);

const commands = {
  typescript: (name) => [process.execPath, programOf(`${name}.mjs`)],
  python: (name) => [venvPython, programOf(`${name}.py`)],
  go: (name) => [goProgram(name)],
};
const brokerCommand = `${process.execPath} ${join(root, "broker/dist/main.js")}`;

class LanguageProgram extends Running {
  constructor(language, name, env) {
    const [program, ...args] = commands[language](name);
    super(program, args, env);
  }

  /** What this program works at. @throws when it ends before. */
  during(work) {
    const gone = this.ended.then(([code]) => {
      throw new Error(`it ended with ${code}`);
    });
    return Promise.race([work, gone]);
  }
}

export class LanguageWorker extends LanguageProgram {
  /** Those that this machine has, their programs built; of the others it is said what they lack. */
  static async languages(say) {
    say("Python's and Go's programs are made ready");
    const missing = await ensure(["python", "go"]);
    for (const [language, { message }] of missing) console.log(`without ${language}: ${message}`);
    if (!missing.has("go")) {
      for (const name of ["worker", "fixture"]) {
        await promisify(execFile)("go", ["build", "-o", goProgram(name), programOf(`${name}.go`)], {
          cwd: root,
        });
      }
    }
    return Object.keys(commands).filter((language) => !missing.has(language));
  }

  /** Returns at once: that it is attached is for its jobs to tell. */
  static spawn(language, address, queue) {
    return new LanguageWorker(language, "worker", {
      DROVER_ADDRESS: address,
      BENCH_QUEUES: queue,
      BENCH_CONCURRENCY: "1000",
    });
  }
}

/** ms from asking for a broker and a worker of a test's own to the end of their first job. The program's start is not in it:
 *  it is the tests'. */
export async function fixtureReady(language) {
  const program = new LanguageProgram(language, "fixture", {
    DROVER_NATS_SERVER: join(toolsBin, "nats-server"),
    DROVER_BROKER: brokerCommand,
    DROVER_BROKER_COMMAND: brokerCommand,
  });
  const ready = await program.says("ready ");
  const [code] = await program.ended;
  if (code !== 0) throw new Error(`${language}'s fixture ended with ${code}`);
  return Number(ready.split(" ")[1]);
}
