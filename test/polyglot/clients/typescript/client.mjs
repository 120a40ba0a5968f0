// The client of access.test.ts and gathering.test.ts in TypeScript (as plain JavaScript, so that Node runs it as it stands).
import { Client } from "@drover/client";

const { FIXTURE_TASK, FIXTURE_QUEUE, FIXTURE_TOGETHER } = process.env;
const { FIXTURE_TLS_CA, FIXTURE_TLS_CERT, FIXTURE_TLS_KEY } = process.env;
const patience = Number(process.env.FIXTURE_PATIENCE ?? 45) * 1_000;
const namespaces = process.env.FIXTURE_NAMESPACES?.split(",");

const client = new Client({
  ...(FIXTURE_TLS_CA && {
    tls: {
      ca: FIXTURE_TLS_CA,
      ...(FIXTURE_TLS_CERT && { cert: FIXTURE_TLS_CERT, key: FIXTURE_TLS_KEY }),
    },
  }),
  ...(namespaces && { metadata: () => ({ "drover-namespace": namespaces.shift() }) }),
  timeout: patience,
});

/** Submits, looks at and waits for as many jobs as it is told, each lot at once. */
async function together(jobs) {
  const at = Array.from({ length: jobs }, (_, i) => i);
  await Promise.all(at.map(() => client.submit(FIXTURE_TASK, {}, { queue: "nobodys" })));
  const ended = at.map((i) => client.job(`echo~${FIXTURE_QUEUE}-${i}`));
  const states = await Promise.all(ended.map(async (job) => (await job.status()).state));
  const results = await Promise.all(ended.map((job) => job.result({ timeout: patience })));
  return { states: [...new Set(states)], results };
}

try {
  if (FIXTURE_TOGETHER) {
    console.log(JSON.stringify(await together(Number(FIXTURE_TOGETHER))));
    process.exit();
  }
  const job = await client.submit(FIXTURE_TASK, { value: "hello" }, { queue: FIXTURE_QUEUE });
  const { state } = await job.status();
  console.log(JSON.stringify({ state, result: await job.result({ timeout: patience }) }));
} catch (error) {
  console.log(JSON.stringify({ type: error.constructor.name, error: error.message }));
} finally {
  client.close();
}
