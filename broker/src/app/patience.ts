// A wait for somebody who may have spoken already: what he said lies unread while this broker stands still.

/** The wait consists of so many. A process that stood still runs one due timer, reads, and runs the next. */
const steps = 10;

export class Patience {
  #timer: NodeJS.Timeout;

  /** `over` is called after `ms` of this process's running time, unless cancelled: of a time in which it stood still no
   *  more than a tenth of `ms` counts. */
  constructor(ms: number, over: () => void) {
    const step = (left: number): NodeJS.Timeout =>
      setTimeout(() => {
        if (left === 1) over();
        else this.#timer = step(left - 1);
      }, ms / steps);
    this.#timer = step(steps);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
