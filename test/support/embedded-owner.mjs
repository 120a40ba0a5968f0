// A process that owns an embedded nats-server, as a broker does, for tests that kill it. Prints one line of JSON when
// the server is there (or why it is not), and closes it in good order on SIGTERM.
// node embedded-owner.mjs DATA_DIR

import { EmbeddedServer } from "../../broker/dist/jetstream/embedded.js";

const nothing = () => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

try {
  const server = await EmbeddedServer.start({
    dataDir: process.argv[2],
    sync: "always",
    log,
    lockPatience: 0,
  });
  // A broker that is stopped by Ctrl-C first finishes what it has to finish, and needs its server for it.
  process.on("SIGINT", () => console.log(JSON.stringify({ interrupted: true })));
  process.on("SIGTERM", () => void server.close().then(() => process.exit(0)));
  console.log(JSON.stringify({ pid: server.pid, target: server.target }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
