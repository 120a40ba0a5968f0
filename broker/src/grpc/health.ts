// grpc.health.v1: the empty service name says that the broker lives, `drover.v1` and each of its services whether it
// can serve.

import type { Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";

export class Health {
  readonly #health = new HealthImplementation({ "": "SERVING" });
  #ready: boolean | undefined;

  constructor(private readonly services: readonly string[]) {
    this.set(false);
  }

  addTo(server: Server): void {
    this.#health.addToServer(server);
  }

  set(ready: boolean): void {
    if (ready === this.#ready) return;
    this.#ready = ready;
    for (const service of this.services) this.#health.setStatus(service, ready ? "SERVING" : "NOT_SERVING");
  }
}
