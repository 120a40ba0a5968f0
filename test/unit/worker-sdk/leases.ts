import type { Lease } from "@drover/proto/v1";

/** A lease as a broker hands it out, with what a test wants of it. */
export function lease(leaseId: number, fields: Partial<Lease> = {}): Lease {
  return {
    leaseId,
    token: `token-${leaseId}`,
    jobId: `demo.task~${leaseId}`,
    task: "demo.task",
    queue: "default",
    priority: 5,
    attempt: 1,
    failures: 0,
    maxAttempts: 4,
    payload: { data: Buffer.from("{}"), contentType: "" },
    labels: {},
    headers: {},
    submittedAt: { seconds: 1_700_000_000, nanos: 0 },
    softTimeLimit: undefined,
    hardTimeLimit: undefined,
    expiresAt: undefined,
    inputs: [],
    inputCount: 0,
    flow: "",
    flowMember: 0,
    ...fields,
  };
}

export const ms = (duration: number) => ({
  seconds: Math.trunc(duration / 1000),
  nanos: (duration % 1000) * 1e6,
});
