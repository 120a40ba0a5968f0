// The streams of a namespace as they have to be, and what is wrong with one that is otherwise.
//
// A job is one message, found by its subject: at most one message per subject, every publish checked against the last
// one, and nothing that removes or alters messages behind the broker's back. Size limits would evict jobs (schedules
// forbid discard new), a maximum age would expire them.

import type { StreamConfig } from "./api.js";

/** Of the way jobs are laid out in streams. A broker refuses every other one. */
export const storageFormat = "2";

export const metadataKeys = {
  format: "drover-format",
  shards: "drover-shards",
  tokenKey: "drover-token-key",
} as const;

const always = {
  retention: "limits",
  discard: "old",
  storage: "file",
  max_consumers: -1,
  max_msgs: -1,
  max_bytes: -1,
  max_age: 0,
  max_msg_size: -1,
  allow_direct: true,
  allow_atomic: true,
  allow_msg_ttl: true,
  allow_msg_schedules: true,
  allow_rollup_hdrs: true,
  deny_delete: false,
  deny_purge: false,
} as const;

/** Must not be set in any way: copies, renames, drops or answers otherwise than a broker relies on. */
const never = [
  "mirror",
  "sources",
  "subject_transform",
  "republish",
  "sealed",
  "no_ack",
  "discard_new_per_subject",
  "allow_msg_counter",
  "subject_delete_marker_ttl",
  "persist_mode",
] as const;

export interface NamespaceStreams {
  namespace: string;
  shards: number;
  replicas: number;
}

/** A shard's jobs. */
export function shardStream(of: NamespaceStreams, shard: number, tokenKey?: string): StreamConfig {
  return {
    ...always,
    name: shardStreamName(of.namespace, shard),
    description: `Jobs of the Drover namespace ${of.namespace}, shard ${shard} of ${of.shards}`,
    subjects: [`drover.${of.namespace}.${shard}.>`],
    max_msgs_per_subject: 1,
    num_replicas: of.replicas,
    metadata: {
      [metadataKeys.format]: storageFormat,
      [metadataKeys.shards]: String(of.shards),
      ...(tokenKey === undefined ? {} : { [metadataKeys.tokenKey]: tokenKey }),
    },
  };
}

/** Schedules and their firings: a firing that nobody took yet must not be replaced by the next. */
export function cronStream(of: NamespaceStreams): StreamConfig {
  return {
    ...always,
    name: cronStreamName(of.namespace),
    description: `Schedules of the Drover namespace ${of.namespace}`,
    subjects: [`drover.${of.namespace}.cron.>`, `drover.${of.namespace}.fire.>`],
    max_msgs_per_subject: -1,
    num_replicas: of.replicas,
    metadata: { [metadataKeys.format]: storageFormat, [metadataKeys.shards]: String(of.shards) },
  };
}

function shardStreamName(namespace: string, shard: number): string {
  return `DROVER_${namespace}_${shard}`;
}

export function cronStreamName(namespace: string): string {
  return `DROVER_${namespace}_cron`;
}

/** What keeps a stream that is there from being used, each as part of a sentence about it. Replicas and metadata have
 *  rules of their own. */
export function misfits(wanted: StreamConfig, actual: StreamConfig): string[] {
  const found: string[] = [];
  for (const field of [...Object.keys(always), "max_msgs_per_subject"]) {
    const [want, have] = [wanted[field], actual[field] ?? absent(wanted[field])];
    if (want !== have) found.push(`${field} is ${say(have)} and must be ${say(want)}`);
  }
  for (const field of never) {
    const have = actual[field];
    if (isSet(have)) found.push(`${field} is ${say(have)} and must not be set`);
  }
  const [want, have] = [wanted, actual].map(({ subjects }) => [...(subjects ?? [])].sort().join(", "));
  if (want !== have) found.push(`subjects are ${have || "none"} and must be ${want}`);
  return found;
}

/** What a field means that the server left out of its answer. */
function absent(wanted: unknown): unknown {
  return typeof wanted === "boolean" ? false : undefined;
}

function isSet(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  // The two words for what is the default.
  return Boolean(value) && value !== "default" && value !== "none";
}

function say(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "not set");
}
