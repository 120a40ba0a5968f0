// A broker that dies between two of its stored steps: everything that it sends to be stored, or acks, is counted, and
// what comes after the last that it may do is never sent. Then its connection is gone, as if the process had been killed.

import type { NatsConnection } from "nats";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Wire } from "../../broker/src/jetstream/wire.js";

const mortals = new Map<NatsConnection, MortalBroker>();
const { publish, ack } = Wire.prototype;
Wire.prototype.publish = function (subject, ...rest) {
  if (mortals.get(this.nc)?.does(subject, this) !== false) publish.call(this, subject, ...rest);
};
Wire.prototype.ack = function (to) {
  if (mortals.get(this.nc)?.does(Buffer.from(to).toString("latin1"), this) !== false) ack.call(this, to);
};

export class MortalBroker {
  /** What it stored and acked, in order: `flow.record`, `job.blocked`, `ack flows`, ... */
  readonly steps: string[] = [];
  /** Settles when it has died. */
  readonly died: Promise<void>;
  dead = false;
  readonly #wires = new Set<Wire>();
  #die: () => void = () => undefined;

  constructor(
    readonly broker: RunningBroker,
    /** Steps that it lives for. */
    readonly life: number,
  ) {
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
    const { nc } = broker.parts.store;
    const publish = nc.publish.bind(nc);
    // A request is a publish, too.
    nc.publish = (subject, ...rest) => {
      if (this.does(subject)) publish(subject, ...rest);
    };
    mortals.set(nc, this);
  }

  /** Whether it lives to send this. */
  does(subject: string, wire?: Wire): boolean {
    if (this.dead) return false;
    if (wire !== undefined) this.#wires.add(wire);
    const step = stepOf(subject);
    if (step === undefined) return true;
    if (this.steps.length >= this.life) {
      this.#end();
      return false;
    }
    this.steps.push(step);
    return true;
  }

  #end(): void {
    this.dead = true;
    const { parts } = this.broker;
    // What was sent before is with the server: a killed process leaves that in its socket.
    for (const wire of this.#wires) wire.flush();
    parts.stop();
    void parts.store.nc
      .close()
      .finally(() => parts.store.journal.close())
      .finally(() => this.#die());
  }
}

/** Undefined for what is only asked. */
function stepOf(subject: string): string | undefined {
  const tokens = subject.split(".");
  if (subject.startsWith("$JS.ACK.")) {
    const consumer = tokens.length === 9 ? tokens[3] : tokens[5];
    return consumer === "flows" ? "ack flows" : consumer === "due" ? "ack due" : "ack lane";
  }
  if (subject.startsWith("$JS.API.STREAM.PURGE.")) return "purge";
  const [root, , shard = "", kind = "", what = ""] = tokens;
  return root === "drover" && /^\d+$/.test(shard) ? `${kind}.${what}` : undefined;
}
