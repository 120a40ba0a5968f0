// A wire between a broker and its nats-server that can go dead in one direction: what the broker sends arrives, what the
// server answers does not. So a write is stored and nobody learns of it, every time and not by chance.

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class CutWire {
  #mute = false;
  readonly #pairs = new Set<{ near: Socket; far: Socket }>();

  private constructor(
    readonly server: Server,
    readonly target: number,
  ) {
    server.on("connection", (near) => this.#join(near));
  }

  static async to(target: number): Promise<CutWire> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new CutWire(server, target);
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** From now on no answer comes through. */
  mute(): void {
    this.#mute = true;
  }

  /** The connection breaks; the next one works in both directions. */
  cut(): void {
    this.#mute = false;
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  close(): void {
    this.server.close();
    this.cut();
  }

  #join(near: Socket): void {
    const far = connect({ port: this.target, host: "127.0.0.1" });
    const pair = { near, far };
    this.#pairs.add(pair);
    const part = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", part);
      socket.on("close", part);
    }
    near.on("data", (data) => far.write(data));
    far.on("data", (data) => {
      if (!this.#mute) near.write(data);
    });
  }
}
