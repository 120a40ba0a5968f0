// npm start. A web service that submits jobs and shows what became of them. It does not load any handler.
import { Client, InvalidArgumentError, JobNotFoundError, ResultTimeoutError } from "@drover/client";
import Fastify from "fastify";
import { processUser } from "./tasks.mjs";

const drover = new Client();
const app = Fastify();
app.addHook("onClose", () => drover.close());

app.setErrorHandler((error, _request, reply) => {
  if (error instanceof InvalidArgumentError) return reply.code(400).send({ fields: error.fields });
  if (error instanceof JobNotFoundError) return reply.code(404).send({ message: "no such job" });
  return reply.code(error.statusCode ?? 500).send({ message: error.message });
});

/** Answers once the job is on disk. A request that is sent again with the same Idempotency-Key makes no second job. */
app.post("/users/:id/process", async (request, reply) => {
  const key = request.headers["idempotency-key"];
  const payload = { userId: Number(request.params.id), ...request.body };
  const job = await drover.submit(processUser, payload, { ...(key !== undefined && { key }) });
  return reply.code(202).send({ id: job.id, status: `/jobs/${job.id}` });
});

app.get("/jobs/:id", async (request) => {
  const { state, attempt, progress, result, failure, submittedAt, startedAt, finishedAt } = await drover
    .job(request.params.id)
    .status();
  const error = failure && { reason: failure.reason, message: failure.message };
  return { state, attempt, progress, result, error, submittedAt, startedAt, finishedAt };
});

/** The result, if it comes within `?wait=` ms; else where to ask again. */
app.get("/jobs/:id/result", async (request, reply) => {
  const timeout = Math.min(30_000, Number(request.query.wait ?? 10_000));
  try {
    return { result: await drover.job(request.params.id).result({ timeout }) };
  } catch (error) {
    if (!(error instanceof ResultTimeoutError)) throw error;
    return reply.code(202).send({ id: error.jobId, message: "still processing" });
  }
});

for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => app.close());
console.log(await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 3000) }));
