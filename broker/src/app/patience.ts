// A wait for somebody who may have spoken already: what he said lies unread while this broker stands still.

/** The wait consists of so many. */
const steps = 10;
/** A step that took so many times as long as it should was one in which this process stood still. */
const late = 1.5;

export class Patience {
  #timer: NodeJS.Timeout;

  /** `over` is called after `ms`, unless cancelled. Steps in which this process stood still do not count: each is waited
   *  for once more, in which what has come is read; ten of them at most, so that it ends on a slow machine too. */
  constructor(ms: number, over: () => void) {
    const each = Math.max(1, ms / steps);
    let spare = steps;
    const step = (left: number): NodeJS.Timeout => {
      const began = Date.now();
      return setTimeout(() => {
        const again = Date.now() - began > late * each + 1 && spare-- > 0;
        if (!again && left === 1) over();
        else this.#timer = step(again ? left : left - 1);
      }, each);
    };
    this.#timer = step(steps);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
