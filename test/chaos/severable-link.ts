// A way to a broker that can be cut: connections end in the middle of whatever they carry, and new ones get through.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class SeverableLink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes that went to the broker since the last cut. */
  up = 0;
  /** What the broker says is held back until the next cut, and lost by it. */
  muted = false;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect({ port, host: "127.0.0.1" });
      this.#keep(near);
      this.#keep(far);
      near.on("data", (data) => {
        this.up += data.length;
        far.write(data);
      });
      far.on("data", (data) => {
        if (!this.muted) near.write(data);
      });
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
    });
  }

  static async to(port: number): Promise<SeverableLink> {
    const link = new SeverableLink(port);
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    return link;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.up = 0;
    this.muted = false;
  }

  /** Cuts, and lets nobody through any more. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
