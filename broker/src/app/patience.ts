// A wait for somebody who may have spoken already: what he said lies unread while this broker stands still. Or who stood
// still with it, on a machine that did.

/** The wait consists of so many. */
const steps = 10;
/** A step that took so many times as long as it should was one in which this process stood still. */
const late = 1.5;
/** How many such steps do not count: it ends on a slow machine too. */
const most = 10;

export class Patience {
  #timer: NodeJS.Timeout;

  /** `over` is called after `ms`, unless cancelled. Where this process stood still for over a twentieth of that, the time
   *  does not count, and half of the wait is left at least. */
  constructor(ms: number, over: () => void) {
    const each = Math.max(1, ms / steps);
    let spare = most;
    const step = (left: number): NodeJS.Timeout => {
      const began = Date.now();
      return setTimeout(() => {
        const stood = Date.now() - began > late * each + 1 && spare-- > 0;
        if (stood) this.#timer = step(Math.max(left, steps / 2));
        else if (left === 1) over();
        else this.#timer = step(left - 1);
      }, each);
    };
    this.#timer = step(steps);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
