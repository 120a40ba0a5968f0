// Which nats-server will do. Earlier ones lack the batch with one fsync, or lose data in known cases.

export const oldestServer = "2.15.1";

/** The first three-part version in a text, such as the output of `nats-server --version`. */
export function versionIn(text: string): string | undefined {
  return /\bv?(\d+\.\d+\.\d+)/.exec(text)?.[1];
}

/** Whether a version is `least` or later. Anything that is no version is too old. */
export function atLeast(version: string, least: string): boolean {
  const have = (versionIn(version) ?? "0.0.0").split(".").map(Number);
  for (const [i, part] of least.split(".").map(Number).entries()) {
    if (have[i] !== part) return (have[i] ?? 0) > part;
  }
  return true;
}
