// setTimeout takes a signed 32-bit number of milliseconds and fires at once beyond it; a run may last 30 days.
const LONGEST_TIMER = 2 ** 31 - 1;

/** Calls `then` after `ms` milliseconds, however many those are. Gives back what cancels it. The timer does not keep
 *  the process alive. */
export function after(ms: number, then: () => void): () => void {
  let left = ms;
  let timer: NodeJS.Timeout;
  const arm = () => {
    const step = Math.min(left, LONGEST_TIMER);
    left -= step;
    timer = setTimeout(left > 0 ? arm : then, step);
    timer.unref();
  };
  arm();
  return () => clearTimeout(timer);
}
