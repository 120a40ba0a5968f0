import { randomUUID } from "node:crypto";

/** A UUIDv7: the time in front, so that keys made one after another lie near each other wherever they are stored.
 *  `now` is in ms since 1970; of `uuid`, a random UUID, the last 74 random bits are kept. */
export function newKey(now: number = Date.now(), uuid: string = randomUUID()): string {
  const time = now.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${uuid.slice(15)}`;
}
