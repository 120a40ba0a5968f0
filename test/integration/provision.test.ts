import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { JsApi, type StreamConfig } from "../../broker/src/jetstream/api.js";
import type { Connection } from "../../broker/src/jetstream/connect.js";
import { type Provisioned, type ProvisionOptions, provision } from "../../broker/src/jetstream/provision.js";
import { StartupError } from "../../broker/src/jetstream/startup-error.js";
import { connections } from "../support/connections.js";
import { freePort, NatsServer } from "../support/nats.js";

const connected = connections("provision-test", 5_000);

const optionsOf = (connection: Connection, more: Partial<ProvisionOptions> = {}): ProvisionOptions => ({
  connection,
  api: new JsApi(connection.nc),
  log: connected.log,
  namespace: "default",
  shards: 1,
  replicas: 1,
  within: 5_000,
  ...more,
});

/** What it fails with: one line, for an operator. */
async function failure(provisioned: Promise<Provisioned>): Promise<string> {
  const error = await provisioned.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartupError);
  const { message } = error as StartupError;
  expect(message).not.toContain("\n");
  return message;
}

describe("a namespace", () => {
  let nats: NatsServer;
  let connection: Connection;
  let api: JsApi;
  /** A new one for each test. */
  let namespace: string;
  let count = 0;

  beforeAll(async () => {
    nats = await NatsServer.start();
  });
  afterAll(() => nats.stop());

  beforeEach(async () => {
    connection = await connected.open(nats.url);
    api = new JsApi(connection.nc);
    count += 1;
    namespace = `test-${count}_x`;
  });

  const config = async (stream: string) => (await api.stream(stream)).config;
  const change = async (stream: string, changes: object) => {
    const changed = { ...(await config(stream)), ...changes };
    await api.request(`STREAM.UPDATE.${stream}`, changed);
  };
  const remake = async (stream: string, changes: object) => {
    const made = { ...(await config(stream)), ...changes };
    await api.request(`STREAM.DELETE.${stream}`);
    await api.request(`STREAM.CREATE.${stream}`, made);
  };

  test("has a stream per shard and one for schedules", async () => {
    const made = await provision(optionsOf(connection, { namespace, shards: 3 }));
    expect(made).toEqual({
      shards: 3,
      tokenKey: expect.any(Buffer),
      streams: [0, 1, 2].map((shard) => `DROVER_${namespace}_${shard}`),
      cron: `DROVER_${namespace}_cron`,
      replicas: 1,
    });
    expect(made.tokenKey).toHaveLength(32);
    expect(await config(`DROVER_${namespace}_2`)).toMatchObject({
      subjects: [`drover.${namespace}.2.>`],
      retention: "limits",
      storage: "file",
      discard: "old",
      max_msgs_per_subject: 1,
      max_msgs: -1,
      max_bytes: -1,
      max_age: 0,
      num_replicas: 1,
      allow_direct: true,
      allow_atomic: true,
      allow_msg_ttl: true,
      allow_msg_schedules: true,
      allow_rollup_hdrs: true,
      metadata: expect.objectContaining({ "drover-format": "2", "drover-shards": "3" }),
    });
    expect(await config(made.cron)).toMatchObject({
      subjects: [`drover.${namespace}.cron.>`, `drover.${namespace}.fire.>`],
      max_msgs_per_subject: -1,
      allow_msg_schedules: true,
    });
  });

  test("is left as it is by the next broker, which gets the same key", async () => {
    const first = await provision(optionsOf(connection, { namespace, shards: 2 }));
    await connection.nc.request(`drover.${namespace}.0.kept`, "value");
    const second = await provision(optionsOf(await connected.open(nats.url), { namespace, shards: 2 }));
    expect(second).toEqual(first);
    expect((await api.stream(`DROVER_${namespace}_0`)).state.messages).toBe(1);
  });

  test("is the same for brokers that make it at the same time", async () => {
    const connections = await Promise.all(Array.from({ length: 8 }, () => connected.open(nats.url)));
    const all = await Promise.all(
      connections.map((one) => provision(optionsOf(one, { namespace, shards: 3 }))),
    );
    for (const one of all) expect(one).toEqual(all[0]);
  });

  test("is finished when a broker died while making it", async () => {
    const first = await provision(optionsOf(connection, { namespace, shards: 2 }));
    await api.request(`STREAM.DELETE.DROVER_${namespace}_1`);
    await api.request(`STREAM.DELETE.DROVER_${namespace}_cron`);
    expect(await provision(optionsOf(connection, { namespace, shards: 2 }))).toEqual(first);
  });

  test("leaves nothing behind of asking for rights", async () => {
    const { streams, cron } = await provision(optionsOf(connection, { namespace }));
    for (const stream of [...streams, cron]) {
      const { state } = await api.stream(stream);
      expect([state.messages, state.last_seq, state.consumer_count]).toEqual([0, 0, 0]);
    }
  });

  test("never changes its number of shards", async () => {
    await provision(optionsOf(connection, { namespace, shards: 3 }));
    expect(await failure(provision(optionsOf(connection, { namespace, shards: 2 })))).toBe(
      `namespace ${namespace} was made with 3 shards, not 2, and that is never changed: set DROVER_SHARDS=3, or use another namespace`,
    );
  });

  test("of another storage format is refused", async () => {
    await provision(optionsOf(connection, { namespace }));
    await change(`DROVER_${namespace}_0`, { metadata: { "drover-format": "3", "drover-shards": "1" } });
    expect(await failure(provision(optionsOf(connection, { namespace })))).toContain(
      "has storage format 3 and this broker knows format 2",
    );
  });

  test("without a usable key is refused", async () => {
    await provision(optionsOf(connection, { namespace }));
    const metadata = { "drover-format": "2", "drover-shards": "1", "drover-token-key": "short" };
    await change(`DROVER_${namespace}_0`, { metadata });
    expect(await failure(provision(optionsOf(connection, { namespace })))).toContain(
      "no usable drover-token-key",
    );
  });

  test("whose stream is somebody else's is refused", async () => {
    const name = `DROVER_${namespace}_0`;
    await api.request(`STREAM.CREATE.${name}`, { name, subjects: [`drover.${namespace}.0.>`] });
    expect(await failure(provision(optionsOf(connection, { namespace })))).toContain(
      "was not made by Drover",
    );
  });

  test("whose subjects are somebody else's is refused", async () => {
    const name = `OTHER-${count}`;
    await api.request(`STREAM.CREATE.${name}`, { name, subjects: [`drover.${namespace}.>`] });
    expect(await failure(provision(optionsOf(connection, { namespace })))).toContain(
      `another stream holds a part of drover.${namespace}.0.>`,
    );
  });

  test.each<[why: string, changes: Partial<StreamConfig>, said: string]>([
    ["would expire jobs", { max_age: 3_600e9 }, "max_age is 3600000000000 and must be 0"],
    ["would evict jobs", { max_bytes: 1_000_000 }, "max_bytes is 1000000 and must be -1"],
    ["refuses batches", { allow_atomic: false }, "allow_atomic is false and must be true"],
    ["listens elsewhere", { subjects: ["elsewhere"] }, "subjects are elsewhere and must be drover."],
    [
      "republishes",
      { republish: { src: ">", dest: "copy.>" } },
      'republish is {"src":">","dest":"copy.>"} and must not',
    ],
  ])("whose stream %s is refused", async (_, changes, said) => {
    await provision(optionsOf(connection, { namespace }));
    await change(`DROVER_${namespace}_0`, changes);
    const message = await failure(provision(optionsOf(connection, { namespace })));
    expect(message).toContain(`stream DROVER_${namespace}_0 cannot be used: `);
    expect(message).toContain(said);
    expect(message).toContain("nats stream edit");
  });

  test("whose stream does not survive a restart is refused", async () => {
    await provision(optionsOf(connection, { namespace }));
    await remake(`DROVER_${namespace}_0`, { storage: "memory" });
    const message = await failure(provision(optionsOf(connection, { namespace })));
    expect(message).toContain("storage is memory and must be file");
  });

  test("that is wrong in several ways is told all of them at once", async () => {
    await provision(optionsOf(connection, { namespace }));
    await change(`DROVER_${namespace}_cron`, { max_age: 1e12, max_msgs: 5, allow_direct: false });
    const message = await failure(provision(optionsOf(connection, { namespace })));
    for (const field of ["max_age", "max_msgs", "allow_direct"]) expect(message).toContain(`${field} is `);
  });

  test("with more replicas than one server has is refused with what it takes", async () => {
    expect(await failure(provision(optionsOf(connection, { namespace, replicas: 3 })))).toContain(
      "DROVER_REPLICAS=3 needs a cluster of 3 nats-servers",
    );
  });

  test.each([
    ["", 1, 1, /namespace "" is not possible/],
    ["a.b", 1, 1, /namespace "a.b" is not possible/],
    ["x".repeat(65), 1, 1, /is not possible/],
    ["fine", 0, 1, /0 shards are not possible/],
    ["fine", 1.5, 1, /1.5 shards/],
    ["fine", 1, 2, /2 replicas are not possible/],
  ])("called %j with %d shards and %d replicas is not made", async (name, shards, replicas, said) => {
    expect(await failure(provision(optionsOf(connection, { namespace: name, shards, replicas })))).toMatch(
      said,
    );
  });
});

describe("a NATS user", () => {
  let nats: NatsServer;
  // A wildcard stands for a whole token, so a namespace's streams have to be named one by one.
  const streams = ["DROVER_limited_0", "DROVER_limited_cron"];
  const perStream = (...calls: string[]) =>
    calls.flatMap((call) => streams.map((name) => `$JS.API.${call}.${name}`));
  const running = perStream("STREAM.INFO", "STREAM.PURGE", "STREAM.MSG.GET", "DIRECT.GET");
  const making = perStream("STREAM.CREATE", "STREAM.UPDATE");
  const all = ["drover.limited.>", "$JS.API.INFO", "$JS.API.CONSUMER.>", "$JS.ACK.>", ...running, ...making];
  const user = (name: string, publish: string[], subscribe = ["_INBOX.>", "drover.limited.>"]) =>
    `{ user: ${name}, password: pw, permissions: { publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)} } }`;
  const without = (name: string) => all.filter((subject) => subject !== name);

  beforeAll(async () => {
    const users = [
      user("enough", all),
      user(
        "no-create",
        all.filter((subject) => !making.includes(subject)),
      ),
      user("no-api", ["drover.limited.>"]),
      user("no-purge", without("$JS.API.STREAM.PURGE.DROVER_limited_0")),
      user("no-acks", without("$JS.ACK.>")),
      user("no-jobs", [...without("drover.limited.>"), "drover.limited.ctl.>"]),
      user("no-consumers", without("$JS.API.CONSUMER.>")),
      user("deaf", all, ["_INBOX.>"]),
    ];
    nats = await NatsServer.start({ conf: `authorization { users: [ ${users.join(", ")} ] }` });
  });
  afterAll(() => nats.stop());

  const as = async (name: string) => {
    const connection = await connected.open(nats.url, { user: name, password: "pw" });
    return provision(optionsOf(connection, { namespace: "limited" }));
  };

  test("without the right to make streams is told so, and needs none once they are there", async () => {
    expect(await failure(as("no-create"))).toBe(
      "the NATS user of the broker lacks rights: it may not use $JS.API.STREAM.CREATE.DROVER_limited_0",
    );
    await as("enough");
    await as("no-create");
  });

  test("with all rights that are needed gets no complaint", async () => {
    await as("enough");
    expect(connected.log.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test.each([
    ["no-api", /may not use \$JS.API.INFO$/],
    ["no-purge", /lacks rights: it may not publish to \$JS.API.STREAM.PURGE.DROVER_limited_0$/],
    ["no-acks", /publish to \$JS.ACK.DROVER_limited_0/],
    ["no-jobs", /publish to drover.limited.0.rights/],
    [
      "no-consumers",
      /publish to \$JS.API.CONSUMER.CREATE.DROVER_limited_0.*CONSUMER.DELETE.*CONSUMER.MSG.NEXT/,
    ],
    ["deaf", /subscribe to drover.limited.ctl.>/],
  ])("called %s is told what it may not do", async (name, said) => {
    await as("enough");
    expect(await failure(as(name))).toMatch(said);
  });
});

test("a nats-server without JetStream is refused", async () => {
  const nats = await NatsServer.start({ jetstream: "off" });
  try {
    const connection = await connected.open(nats.url);
    const message = await failure(provision(optionsOf(connection, { within: 500 })));
    expect(message).toMatch(/JetStream is switched off/);
  } finally {
    await nats.stop();
  }
});

describe("a cluster", () => {
  let nodes: NatsServer[];

  beforeAll(async () => {
    const routes = await Promise.all([freePort(), freePort(), freePort()]);
    const urls = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
    const conf = (port: number, i: number) =>
      `server_name: n${i}\ncluster { name: c, listen: "127.0.0.1:${port}", routes: [ ${urls} ] }`;
    nodes = await Promise.all(routes.map((port, i) => NatsServer.start({ conf: conf(port, i) })));
  });
  afterAll(() => Promise.all(nodes.map((node) => node.stop())));

  const url = () => nodes.map((node) => node.url).join(",");

  test("is waited for until it has a leader, and brokers that start together agree", {
    timeout: 60_000,
  }, async () => {
    const connections = await Promise.all([url(), url(), url()].map((all) => connected.open(all)));
    const made = await Promise.all(
      connections.map((one) => provision(optionsOf(one, { replicas: 3, shards: 2, within: 30_000 }))),
    );
    for (const one of made) expect(one).toEqual(made[0]);
    expect(made[0]?.replicas).toBe(3);
  });

  test("gives a namespace more replicas, and takes none away", { timeout: 60_000 }, async () => {
    const connection = await connected.open(url());
    const options = { namespace: "growing", within: 30_000 };
    const small = await provision(optionsOf(connection, { ...options, replicas: 1 }));
    expect(small.replicas).toBe(1);
    const big = await provision(optionsOf(connection, { ...options, replicas: 3 }));
    expect(big).toEqual({ ...small, replicas: 3 });
    expect(await provision(optionsOf(connection, { ...options, replicas: 1 }))).toEqual(big);
    expect(connected.log.lines.map(({ message }) => message)).toContain("stream gets more replicas");
  });
});
