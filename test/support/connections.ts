// Connections to nats-servers for the tests of a file: closed after each of them, and what they say is kept.

import { afterEach, beforeEach } from "vitest";
import { Connection } from "../../broker/src/jetstream/connect.js";
import type { NatsTarget } from "../../broker/src/jetstream/nats-target.js";
import { QuietLog } from "./quiet-log.js";

export interface Connections {
  /** Of the test that runs. */
  readonly log: QuietLog;
  /** @throws StartupError when no server is there `within` ms, by default those of the file */
  open(url: string, more?: Partial<NatsTarget>, within?: number): Promise<Connection>;
}

/** For the top level of a test file. */
export function connections(name: string, within: number): Connections {
  const opened: Connection[] = [];
  let log = new QuietLog();

  beforeEach(() => {
    log = new QuietLog();
  });
  afterEach(async () => {
    for (const connection of opened.splice(0)) await connection.close();
  });

  return {
    get log() {
      return log;
    },
    async open(url, more = {}, patience = within) {
      const connection = await Connection.open({ target: { url, ...more }, name, log, within: patience });
      opened.push(connection);
      return connection;
    },
  };
}
