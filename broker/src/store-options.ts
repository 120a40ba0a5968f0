// What the settings mean for the store: which nats-server, which namespace on it, and how it is laid out.

import type { Config } from "./config.js";
import type { StoreOptions } from "./jetstream/store.js";

export function storeOptions(config: Config): StoreOptions {
  const url = config.natsUrl.join(",");
  const tls =
    config.natsTlsCa === undefined && config.natsTlsCert === undefined
      ? undefined
      : { ca: config.natsTlsCa, cert: config.natsTlsCert, key: config.natsTlsKey };
  return {
    target:
      url === ""
        ? undefined
        : {
            url,
            creds: config.natsCreds,
            user: config.natsUser,
            password: config.natsPassword,
            token: config.natsToken,
            tls,
          },
    embedded: {
      dataDir: config.dataDir,
      sync: config.sync === "always" ? "always" : `${config.sync}ms`,
      binary: config.natsServer,
    },
    namespace: config.namespace,
    shards: config.shards,
    replicas: config.replicas,
    maxLanes: config.maxLanes,
    highWater: config.storageHighWater,
    name: config.brokerName,
  };
}
