/** Why the broker cannot start, in one line that says what to do. Shown without a stack. */
export class StartupError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    // What servers and systems say may have several lines; an operator's log line has one.
    super(message.replaceAll(/\s*[\r\n]+\s*/g, " "), options);
    this.name = "StartupError";
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
