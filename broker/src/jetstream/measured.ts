// How long JetStream takes to answer, and how often it does not: all that is asked by request goes through the one
// connection and is measured there, also what the client library asks by itself.

import { errors, type Msg, type NatsConnection } from "nats";
import { statusOf } from "./codec.js";

export type RequestOutcome = "ok" | "refused" | "unanswered";

/** Hears of each request once it has ended. `operation` is of a few: STREAM.INFO, CONSUMER.CREATE, DIRECT.GET, publish. */
export type HearRequests = (operation: string, outcome: RequestOutcome, seconds: number) => void;

/** The same connection, whose requests are told of. */
export function measured(nc: NatsConnection, told: HearRequests): NatsConnection {
  const request = nc.request.bind(nc);
  nc.request = async (subject, payload, options) => {
    const operation = operationOf(subject);
    if (operation === undefined) return request(subject, payload, options);
    const started = performance.now();
    const ended = (outcome: RequestOutcome) =>
      told(operation, outcome, (performance.now() - started) / 1_000);
    try {
      const answer = await request(subject, payload, options);
      ended(outcomeOf(answer));
      return answer;
    } catch (error) {
      if (!(error instanceof errors.ClosedConnectionError)) ended("unanswered");
      throw error;
    }
  };
  return nc;
}

const api = "$JS.API.";

/** `$JS.API.STREAM.INFO.name` asks STREAM.INFO. Undefined: it is not JetStream that is asked. */
export function operationOf(subject: string): string | undefined {
  if (subject.startsWith(api)) return /^[A-Z]+(\.[A-Z]+)?/.exec(subject.slice(api.length))?.[0];
  return subject.startsWith("drover.") ? "publish" : undefined;
}

const beginning = 100;

/** What is not there is an answer. JetStream says what it refuses at the beginning of its JSON. */
export function outcomeOf(answer: Pick<Msg, "data" | "headers">): RequestOutcome {
  const status = statusOf(answer);
  if (status === 503) return "unanswered";
  if (status !== 0) return status === 404 ? "ok" : "refused";
  const said = Buffer.from(
    answer.data.buffer,
    answer.data.byteOffset,
    Math.min(answer.data.length, beginning),
  );
  const error = /"error":\{"code":(\d+)/.exec(said.toString("latin1"));
  return error === null || error[1] === "404" ? "ok" : "refused";
}
