// The measured worker in each language: worker.mjs, worker.py, worker.go.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensure } from "../support/bootstrap.mjs";
import { cache, root, venvPython } from "../support/paths.mjs";
import { Running } from "./processes.mjs";

const goProgram = join(cache, "bench/worker");
const programOf = (name) => join(root, "test/bench", name);

const commands = {
  typescript: [process.execPath, programOf("worker.mjs")],
  python: [venvPython, programOf("worker.py")],
  go: [goProgram],
};

export class LanguageWorker extends Running {
  /** Those that this machine has, their workers built; of the others it is said what they lack. */
  static async languages(say) {
    say("Python's and Go's workers are made ready");
    const missing = await ensure(["python", "go"]);
    for (const [language, { message }] of missing) console.log(`without ${language}: ${message}`);
    if (!missing.has("go")) {
      await promisify(execFile)("go", ["build", "-o", goProgram, programOf("worker.go")], { cwd: root });
    }
    return Object.keys(commands).filter((language) => !missing.has(language));
  }

  /** Returns at once: that it is attached is for its jobs to tell. */
  static spawn(language, address, queue) {
    const [program, ...args] = commands[language];
    return new LanguageWorker(program, args, {
      DROVER_ADDRESS: address,
      BENCH_QUEUES: queue,
      BENCH_CONCURRENCY: "1000",
    });
  }

  /** What this worker works at. @throws when it ends before. */
  during(work) {
    const gone = this.ended.then(([code]) => {
      throw new Error(`the worker ended with ${code}`);
    });
    return Promise.race([work, gone]);
  }
}
