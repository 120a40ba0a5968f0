// Waiting for what a test brings about, never for a time to pass.

export interface Patience {
  /** ms. */
  within?: number;
  /** Between two looks, ms. */
  every?: number;
}

/** Looks again and again until there is a value that is neither undefined nor false. @throws Error at the deadline */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { within: deadline = 60_000, every = 20 }: Patience = {},
): Promise<T> {
  const end = performance.now() + deadline;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > end) throw new Error(`waited ${deadline} ms in vain: ${what}`);
    await pause(every);
  }
}

/** What the promise brings, if it comes in time. @throws Error if not */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** For the pace of what a test does; never instead of waiting for a result. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
