// Three nats-servers that keep every message three times.

import { connect } from "nats";
import { freePort, NatsServer } from "./nats.js";
import { until } from "./until.js";

export class NatsCluster {
  private constructor(readonly nodes: readonly NatsServer[]) {}

  /** Settles when the cluster has a leader and answers. */
  static async start(): Promise<NatsCluster> {
    const routes: number[] = [];
    for (let i = 0; i < 3; i++) routes.push(await freePort());
    const list = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
    const nodes = await Promise.all(
      routes.map((port, i) =>
        NatsServer.start({
          conf: `server_name: node-${i}\ncluster { name: drover, listen: "127.0.0.1:${port}", routes: [${list}] }`,
        }),
      ),
    );
    const cluster = new NatsCluster(nodes);
    await cluster.settled();
    return cluster;
  }

  get url(): string {
    return this.nodes.map(({ url }) => url).join(",");
  }

  /** Settles when the cluster has a leader and JetStream answers. */
  async settled(): Promise<void> {
    const nc = await connect({ servers: this.url.split(","), maxReconnectAttempts: -1, timeout: 5_000 });
    await until(
      "the cluster to have a leader",
      () =>
        nc.request("$JS.API.INFO", "", { timeout: 1_000 }).then(
          (answer) => answer.json<{ error?: unknown }>().error === undefined,
          () => false,
        ),
      60_000,
    );
    await nc.close();
  }

  /** The node that leads a stream. */
  node(name: string): NatsServer {
    const node = this.nodes[Number(name.replace("node-", ""))];
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}
