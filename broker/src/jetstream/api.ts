// JetStream's own API, by hand: a JSON request and a JSON answer. The client library's manager covers most of it, but
// hides the times in the answers, and those are how a broker knows what time it is on the nats-server.

import { errors, type NatsConnection } from "nats";
import type { TimeSample } from "./clock.js";
import { messageOf } from "./startup-error.js";

/** Error codes of JetStream that somebody here decides by. */
export const errCodes = {
  streamNotFound: 10059,
  /** Whatever went wrong inside a stream, for example a disk that refused a write. */
  streamGeneral: 10051,
  streamNameInUse: 10058,
  subjectsOverlap: 10065,
  notEnabled: 10076,
  notEnabledForAccount: 10039,
  clusterNotAvailable: 10008,
  noPeers: 10005,
  replicasNeedCluster: 10074,
  storageExceeded: 10047,
  insufficientResources: 10023,
  accountResourcesExceeded: 10002,
  memoryExceeded: 10028,
} as const;

/** What JetStream refused, or that it did not answer. */
export class JsApiError extends Error {
  constructor(
    /** The part of the subject behind `$JS.API.`. */
    readonly request: string,
    /** As in HTTP: what the server said, or 403 (no right to ask), 408 (no answer in time), 503 (nobody there to answer). */
    readonly code: number,
    /** JetStream's own number; 0 when the server itself did not answer. */
    readonly errCode: number,
    readonly description: string,
  ) {
    super(`${request}: ${description}`);
    this.name = "JsApiError";
  }

  /** Nobody answered: whether the request was carried out is not known. */
  get unanswered(): boolean {
    return this.errCode === 0 && (this.code === 408 || this.code === 503);
  }

  /** The broker's NATS user has no right to ask this. */
  get denied(): boolean {
    return this.errCode === 0 && this.code === 403;
  }
}

export interface StreamConfig {
  name: string;
  subjects?: string[];
  num_replicas: number;
  metadata?: Record<string, string>;
  [field: string]: unknown;
}

export interface StreamInfo {
  config: StreamConfig;
  state: {
    messages: number;
    bytes: number;
    first_seq: number;
    last_seq: number;
    num_subjects?: number;
    consumer_count: number;
  };
  /** The server's time, RFC 3339. */
  ts: string;
}

interface Tier {
  /** Bytes, all replicas together. */
  storage: number;
  streams: number;
  consumers: number;
  /** -1 = unlimited. */
  limits: { max_storage: number };
}

export interface AccountInfo extends Tier {
  /** Where limits depend on the number of replicas: R1, R3. The limits above mean nothing then. */
  tiers?: Record<string, Tier>;
}

export class JsApi {
  constructor(
    readonly nc: NatsConnection,
    /** Hears the server's time in every answer that tells it. */
    readonly heard: (sample: TimeSample) => void = () => undefined,
    /** ms. */
    readonly timeout = 5_000,
  ) {}

  /** Sends `$JS.API.<request>` and returns the answer.
   *  @throws JsApiError */
  async request<Answer extends object>(
    request: string,
    body?: object,
    timeout = this.timeout,
  ): Promise<Answer> {
    const sent = performance.now();
    let data: string;
    try {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      data = (await this.nc.request(`$JS.API.${request}`, payload, { timeout })).string();
    } catch (error) {
      throw unansweredBy(request, error, timeout);
    }
    const received = performance.now();
    const answer = parse(request, data);
    const refused = answer.error;
    if (refused !== undefined) {
      throw new JsApiError(
        request,
        refused.code,
        refused.err_code ?? 0,
        refused.description ?? `code ${refused.code}`,
      );
    }
    if (typeof answer.ts === "string") {
      const server = Date.parse(answer.ts);
      if (!Number.isNaN(server)) this.heard({ server, sent, received, wall: Date.now() });
    }
    return answer as Answer;
  }

  account(timeout?: number): Promise<AccountInfo> {
    return this.request("INFO", undefined, timeout);
  }

  /** @throws JsApiError; errCode 10059 = no such stream */
  stream(name: string, timeout?: number): Promise<StreamInfo> {
    return this.request(`STREAM.INFO.${name}`, undefined, timeout);
  }
}

interface Answer {
  error?: { code: number; err_code?: number; description?: string };
  ts?: unknown;
}

function parse(request: string, data: string): Answer {
  try {
    const answer: unknown = JSON.parse(data);
    if (typeof answer === "object" && answer !== null) return answer;
  } catch {
    // Said below.
  }
  throw new JsApiError(request, 500, 0, "the answer is no JSON object");
}

function unansweredBy(request: string, error: unknown, timeout: number): JsApiError {
  const failed = (code: number, description: string) => new JsApiError(request, code, 0, description);
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof errors.PermissionViolationError) return failed(403, cause.message);
    if (cause instanceof errors.TimeoutError) return failed(408, `no answer within ${timeout} ms`);
    if (cause instanceof errors.NoRespondersError) return failed(503, "nobody there to answer");
  }
  // The connection is closed, or closes.
  return failed(408, messageOf(error));
}
