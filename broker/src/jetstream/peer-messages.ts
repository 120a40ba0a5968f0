// What brokers send each other: JSON, small, and never trusted to be what it should be.

/** Bytes of a message. */
const largest = 512 * 1024;

/** Names of brokers and topics: one token of a subject. */
export const word = /^[A-Za-z0-9_-]{1,128}$/;

export class PeerMessageTooLarge extends RangeError {
  constructor(what: string, bytes: number) {
    super(`${what} of ${bytes} bytes is over the ${largest} bytes that brokers send each other`);
    this.name = "PeerMessageTooLarge";
  }
}

export interface Message {
  broker: string;
  body?: unknown;
  /** Of a question and its answers. */
  id?: number;
  /** Why there is no answer. */
  failed?: string;
  /** Of an announcement. */
  state?: "new" | "here" | "leaving";
}

/** @throws PeerMessageTooLarge */
export function encode(what: string, message: Message): string {
  const data = JSON.stringify(message);
  const bytes = Buffer.byteLength(data);
  if (bytes > largest) throw new PeerMessageTooLarge(what, bytes);
  return data;
}

/** Undefined: not a message of a broker. */
export function decode(data: Uint8Array): Message | undefined {
  try {
    const message: unknown = JSON.parse(Buffer.from(data).toString());
    if (typeof message !== "object" || message === null) return undefined;
    const { broker } = message as Partial<Message>;
    return typeof broker === "string" && word.test(broker) ? (message as Message) : undefined;
  } catch {
    return undefined;
  }
}
