// The client of access.test.ts in TypeScript (as plain JavaScript, so that Node runs it as it stands).
import { Client } from "@drover/client";

const { FIXTURE_TASK, FIXTURE_QUEUE, FIXTURE_TLS_CA, FIXTURE_TLS_CERT, FIXTURE_TLS_KEY } = process.env;
const namespaces = process.env.FIXTURE_NAMESPACES?.split(",");

const client = new Client({
  ...(FIXTURE_TLS_CA && {
    tls: {
      ca: FIXTURE_TLS_CA,
      ...(FIXTURE_TLS_CERT && { cert: FIXTURE_TLS_CERT, key: FIXTURE_TLS_KEY }),
    },
  }),
  ...(namespaces && { metadata: () => ({ "drover-namespace": namespaces.shift() }) }),
  timeout: 3_000,
});
try {
  const job = await client.submit(FIXTURE_TASK, { value: "hello" }, { queue: FIXTURE_QUEUE });
  const { state } = await job.status();
  console.log(JSON.stringify({ state, result: await job.result({ timeout: 30_000 }) }));
} catch (error) {
  console.log(JSON.stringify({ type: error.constructor.name, error: error.message }));
} finally {
  client.close();
}
