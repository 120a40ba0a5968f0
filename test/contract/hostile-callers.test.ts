// What a broker is sent by malice, or by what is broken on the way: bytes that mean nothing, sessions that keep to no order,
// callers that vanish. Each ends alone, and the broker is unharmed.

import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { type Message, methods, refusalOf, Stranger } from "../support/stranger.js";
import { unharmedBroker } from "../support/unharmed-broker.js";
import { Wire } from "../support/wire.js";

const tested = unharmedBroker();

describe("bytes that are no message", () => {
  const garbage = Buffer.from([0xff, 0xff, 0xff, 0x07, 0x00, 0x01]);

  test.each(methods.filter(({ responseStream }) => !responseStream).map(({ name }) => name))(
    "to %s",
    async (method) => {
      const error = await tested.stranger.send(method, garbage).catch((error) => error);
      expect(refusalOf(error)).toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "INVALID_ARGUMENT",
        fields: ["message"],
      });
    },
  );

  test("a message above 4 MiB", async () => {
    const error = await tested.stranger
      .send("JobService/Submit", Buffer.alloc(4 * 1_024 * 1_024 + 1))
      .catch((error) => error);
    expect(refusalOf(error)).toMatchObject({ code: "INVALID_ARGUMENT", fields: ["message"] });
    expect(refusalOf(error).message).toContain("the limit is 4194304: send less at once");
  });

  test("another protocol", async () => {
    for (const bytes of [
      "GET / HTTP/1.1\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0001garbage",
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(tested.broker.grpcPort, "127.0.0.1", () => socket.write(bytes));
        socket.on("data", () => undefined);
        socket.on("error", () => undefined);
        socket.on("close", () => resolve());
        setTimeout(() => socket.destroy(), 200);
      });
    }
  });
});

describe("in a session", () => {
  const attach = {
    attach: { worker: "w", instance: "i", tasks: [{ task: "never" }], credit: { jobs: 1 } },
  };

  test.each<[string, (Message | Buffer)[], string[]]>([
    ["garbage first", [Buffer.from([0xff, 0xff])], ["message"]],
    ["garbage after the attach", [attach, Buffer.from([0xff, 0xff])], ["message"]],
    ["an empty message", [{}], ["message"]],
    ["another message first", [{ pong: {} }], ["message"]],
    ["attach twice", [attach, attach], ["attach"]],
    ["a worker without tasks", [{ attach: { worker: "w", instance: "i" } }], ["attach.tasks"]],
    ["a worker without a name", [{ attach: { instance: "i", tasks: [{ task: "t" }] } }], ["attach.worker"]],
    ["credit for 10,001 jobs", [attach, { credit: { jobs: 10_001 } }], ["credit.jobs"]],
    ["no outcomes", [attach, { outcomes: {} }], ["outcomes.outcomes"]],
    [
      "an outcome of no lease",
      [attach, { outcomes: { outcomes: [{ success: {} }] } }],
      ["outcomes.outcomes[0]"],
    ],
    [
      "progress too large",
      [attach, { progress: { reports: [{ leaseId: 1, progress: { detail: Buffer.alloc(5_000) } }] } }],
      ["progress.reports[0].progress.detail"],
    ],
  ])("%s ends the stream", async (_, said, fields) => {
    const work = tested.stranger.work();
    for (const message of said) work.say(message);
    expect(await work.ended).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_ARGUMENT", fields });
  });

  test("and no other", async () => {
    const other = tested.stranger.work().attach();
    await other.hear("attached");
    const work = tested.stranger.work().attach();
    await work.hear("attached");
    work.say(Buffer.from([0xff]));
    await work.ended;
    other.stream.end();
    expect(await other.ended).toMatchObject({ code: "OK" });
  });

  test("who says nothing for 10 s is not waited for", async () => {
    const started = Date.now();
    expect(await tested.stranger.work().ended).toMatchObject({
      code: "INVALID_ARGUMENT",
      fields: ["attach"],
    });
    expect(Date.now() - started).toBeGreaterThan(9_000);
  });
});

describe("callers that vanish", () => {
  test("in the middle of a long poll, a watch, a lease and a session", async () => {
    const { id } = await tested.stranger.call("JobService/Submit", { job: { task: "never" } });
    const wire = await Wire.to(tested.broker.grpcPort);
    const gone = new Stranger(wire.address);
    for (let round = 0; round < 5; round++) {
      const watch = gone.stream("JobService/Watch", { id }).on("error", () => undefined);
      const watching = new Promise((resolve) => watch.once("data", resolve));
      const work = gone.work().attach({ tasks: [{ task: "none" }] });
      const calls = Promise.allSettled([
        gone.call("JobService/Wait", { ids: [id], timeout: { seconds: 60 } }),
        gone.call("WorkerService/Lease", { worker: "w", tasks: ["t"], wait: { seconds: 60 } }),
      ]);
      await Promise.all([watching, work.hear("attached")]);
      wire.cut();
      expect(await calls).toMatchObject([{ status: "rejected" }, { status: "rejected" }]);
      await work.ended;
    }
    gone.close();
    await wire.close();
  });

  test("in the middle of a message", async () => {
    const session = connectHttp2(`http://${tested.broker.address}`);
    session.on("error", () => undefined);
    for (let i = 0; i < 20; i++) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/drover.v1.WorkerService/Work",
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", () => undefined);
      // Announces 100 bytes, sends two.
      stream.write(Buffer.from([0, 0, 0, 0, 100, 1, 2]));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    session.destroy();
  });

  test("a job that was leased for them waits again", async () => {
    await tested.stranger.call("JobService/Submit", { job: { task: "given.back" } });
    const wire = await Wire.to(tested.broker.grpcPort);
    const gone = new Stranger(wire.address);
    await gone
      .work()
      .attach({ tasks: [{ task: "given.back" }] })
      .hear("leases");
    await wire.close();
    const { leases } = await tested.stranger.call("WorkerService/Lease", {
      worker: "w",
      tasks: ["given.back"],
    });
    expect(leases).toMatchObject([{ attempt: 2 }]);
    gone.close();
  });
});
