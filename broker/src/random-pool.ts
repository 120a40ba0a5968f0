// Random bytes for keys, drawn from the system some thousand at a time: a draw costs as much as a job's encoding.

import { randomFillSync } from "node:crypto";

const drawn = 8_192;

/** A source of up to 8 KiB at a time; what it returns is overwritten once some 8 KiB more were taken. */
export function randomPool(): (n: number) => Uint8Array {
  const pool = Buffer.allocUnsafe(drawn);
  let next = drawn;
  return (n) => {
    if (next + n > drawn) {
      randomFillSync(pool);
      next = 0;
    }
    next += n;
    return pool.subarray(next - n, next);
  };
}
