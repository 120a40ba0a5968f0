// Waiting for what happens elsewhere: the one way in which tests wait for a state that nobody announces.

/** Asks again and again until the answer is neither undefined nor false, and returns it.
 *  @throws Error naming `what` when that takes too long */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  within = 20_000,
): Promise<T> {
  const deadline = Date.now() + within;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited ${within} ms in vain for ${what}`);
    await elapsed(20);
  }
}

/** Lets time go by, where the passing of time itself is what a promise speaks of. */
export function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
