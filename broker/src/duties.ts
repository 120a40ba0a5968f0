// What goes on by itself for as long as a broker runs.

export interface Duty {
  /** Absent where it goes on from when it is built. */
  start?(): void | Promise<void>;
  stop(): void;
}

/** Starts them in this order, and returns what stops them in the reverse. */
export async function started(duties: readonly Duty[]): Promise<() => void> {
  const running: Duty[] = [];
  const stop = () => {
    for (const duty of running.splice(0).reverse()) duty.stop();
  };
  try {
    for (const duty of duties) {
      await duty.start?.();
      running.push(duty);
    }
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}
