import { headers } from "nats";
import { expect, test } from "vitest";
import { operationOf, outcomeOf } from "../../../broker/src/jetstream/measured.js";

test.each([
  ["$JS.API.STREAM.INFO.DROVER_default_0", "STREAM.INFO"],
  ["$JS.API.DIRECT.GET.DROVER_default_0", "DIRECT.GET"],
  ["$JS.API.CONSUMER.CREATE.DROVER_default_0.lane.drover.default.0.job.ready", "CONSUMER.CREATE"],
  ["$JS.API.INFO", "INFO"],
  ["drover.default.0.limit.queue.mail", "publish"],
  ["_INBOX.1", undefined],
  ["$SRV.PING", undefined],
])("a request to %s asks %s", (subject, operation) => {
  expect(operationOf(subject)).toBe(operation);
});

const answer = (data: string, code = 0): Parameters<typeof outcomeOf>[0] => ({
  data: Buffer.from(data),
  ...(code === 0 ? {} : { headers: headers(code, "said") }),
});

test.each([
  ["an answer", answer('{"type":"io.nats.jetstream.api.v1.stream_info_response","total":0}'), "ok"],
  ["a message, whatever it says", answer(`{"note":"${"x".repeat(200)}\\"error\\":{\\"code\\":500"}`), "ok"],
  [
    "nothing of that name",
    answer('{"type":"io.nats.jetstream.api.v1.stream_info_response","error":{"code":404,"err_code":10059}}'),
    "ok",
  ],
  ["a read that found nothing", answer("", 404), "ok"],
  [
    "a refusal",
    answer(
      '{"type":"io.nats.jetstream.api.v1.consumer_create_response","error":{"code":400,"err_code":10026}}',
    ),
    "refused",
  ],
  [
    "a write that came too late",
    answer('{"error":{"code":400,"err_code":10071},"stream":"s","seq":0}'),
    "refused",
  ],
  ["a read that may not be", answer("", 408), "refused"],
  ["nobody there", answer("", 503), "unanswered"],
])("%s counts as it should", (_, said, outcome) => {
  expect(outcomeOf(said)).toBe(outcome);
});
