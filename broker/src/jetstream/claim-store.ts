// Who has which unique key: one small message each, beside the jobs of its task. They are written by the journal, in one
// step with the job; here they are read.

import type { Claim, Claims } from "../app/key-ports.js";
import { decodeClaim } from "./codec.js";
import type { JobReads } from "./reads.js";
import type { Subjects } from "./subjects.js";

export class ClaimStore implements Claims {
  constructor(
    readonly subjects: Subjects,
    readonly reads: Pick<JobReads, "last">,
  ) {}

  async read(task: string, key: string): Promise<{ holder: Claim | undefined; last: number }> {
    const shard = this.subjects.shard(task);
    const [message] = await this.reads.last(shard, [this.subjects.claim(task, key)]);
    return message === undefined
      ? { holder: undefined, last: 0 }
      : { holder: decodeClaim(message.data), last: message.seq };
  }
}
