// A number of like jobs, submitted and followed to their end.

import type { Client, JobOptions } from "@drover/client";
import type { Cluster } from "./cluster.js";
import { type JobRecord, recordsOf } from "./job-records.js";
import { until } from "./waiting.js";

const patience = 2 * 60_000;

export class FollowedJobs {
  private constructor(
    readonly cluster: Cluster,
    readonly client: Client,
    readonly ids: readonly string[],
  ) {}

  /** Spread over all tasks. @throws Error when a job is refused */
  static async submit(
    cluster: Cluster,
    client: Client,
    count: number,
    payload: (n: number) => object,
    options: JobOptions = {},
  ): Promise<FollowedJobs> {
    const items = Array.from({ length: count }, (_, n) => ({
      task: `chaos.${n % 4}`,
      payload: payload(n),
      ...options,
    }));
    const results = await client.submitBatch(items, { timeout: patience });
    const ids = results.map((result) => {
      if (!result.ok) throw result.error;
      return result.job.id;
    });
    return new FollowedJobs(cluster, client, ids);
  }

  /** Their records, in order, once every job has succeeded. */
  async succeeded(client = this.client): Promise<JobRecord[]> {
    await until(
      "all jobs succeed",
      async () => {
        const jobs = await Promise.all(this.ids.map((id) => client.job(id).status()));
        const failed = jobs.find(({ finished, state }) => finished && state !== "SUCCEEDED");
        if (failed !== undefined) throw new Error(`${failed.id} is ${failed.state}`);
        return jobs.every(({ finished }) => finished);
      },
      { within: patience, every: 100 },
    );
    return this.records();
  }

  /** As they lie in the store, in order. @throws Error when there is not one of each */
  async records(): Promise<JobRecord[]> {
    const found = await recordsOf(this.cluster.nats.url);
    return this.ids.map((id) => {
      const records = found.get(id) ?? [];
      const [record] = records;
      if (record === undefined || records.length > 1) throw new Error(`${id} has ${records.length} records`);
      return record;
    });
  }

  /** How often each was begun. */
  runs(): number[] {
    return this.ids.map((id) => this.cluster.journal.read().of(id).length);
  }
}
