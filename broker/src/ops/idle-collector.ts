// Gives memory back once a burst is over. V8 collects when there is something to allocate: what a burst of submits left
// would stay as it is for as long as the broker idles. Making it collect more eagerly instead costs a fifth of the
// broker's CPU under load; so it is asked to when nobody waits for an answer.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Share of a core below which the broker idles. */
const idle = 0.05;
/** Not for less than this, bytes: a collection stops everything for some 50 ms. */
const worth = 32 * 1024 * 1024;

/** Looks every so many ms. Returns what ends it. */
export function collectWhenIdle(every = 5_000): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let cpu = process.cpuUsage();
  let least = process.memoryUsage.rss();
  const look = () => {
    const { user, system } = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    const resident = process.memoryUsage.rss();
    least = Math.min(least, resident);
    if ((user + system) / 1_000 / every > idle || resident - least < worth) return;
    // The first finds what is garbage; the pages that become empty by it go with those that follow.
    for (let i = 0; i < 3; i++) collect();
    least = process.memoryUsage.rss();
  };
  const timer = setInterval(look, every).unref();
  return () => clearInterval(timer);
}
