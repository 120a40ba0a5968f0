// A broker whose agenda has no room: every delay that it stores is left to the store's alarm. The return value gives the
// places back.

import type { RunningBroker } from "../../broker/src/broker.js";

export function fillAgenda({ parts: { agenda, store } }: RunningBroker): () => void {
  let taken = 0;
  while (agenda.book(store.clock.now(), store.clock.now())) taken += 1;
  return () => {
    for (; taken > 0; taken--) agenda.release();
  };
}
