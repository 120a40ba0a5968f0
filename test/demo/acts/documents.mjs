// Three languages at one piece of work. What they say is worked out again here, from the originals.
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { count, many } from "../screen.mjs";

const title = "documents are cut, counted and packed";

export const documents = { title, by: ["typescript", "python", "go"], run };

async function run(show) {
  const { texts, languages, client } = show;
  const tasks = [languages.has("python") && "text.analyse", languages.has("go") && "text.pack"].filter(
    Boolean,
  );
  const payloads = texts.map(({ name, text }) => ({ document: name, text, tasks }));
  const splits = await show.submitAll("text.split", payloads);
  const ids = [];
  let parts = 0;
  for (const split of splits) {
    const { result } = await show.ended(split);
    parts += result.parts;
    ids.push(...result.jobs);
  }
  for (const id of ids) show.jobs.add(id);
  let done = 0;
  const jobs = await Promise.all(
    ids.map(async (id) => {
      const job = await show.ended(client.job(id));
      show.note(title, `documents: ${count(++done)} of ${count(ids.length)} jobs`);
      return job;
    }),
  );
  const of = (task) => jobs.filter((job) => job.task === task).map(({ result }) => result);
  const said = [`${many(texts.length, "document")} in ${many(parts, "part")}`];
  if (languages.has("python"))
    said.push(`${count(checkWords(texts, of("text.analyse")))} words, as counted here`);
  if (languages.has("go")) {
    const { bytes, packed } = checkPacks(texts, of("text.pack"));
    said.push(`${kib(bytes)} packed into ${kib(packed)}, every hash right, unpacked again the same`);
  }
  return said.join("; ");
}

function checkWords(texts, analyses) {
  let words = 0;
  for (const { name, text } of texts) {
    const counted = sum(partsOf(analyses, name).map((part) => part.words));
    const really = text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0;
    assert.equal(counted, really, `${name} has ${really} words; Python counted ${counted}`);
    words += counted;
  }
  return words;
}

function checkPacks(texts, packs) {
  let packed = 0;
  for (const { name, text } of texts) {
    const parts = partsOf(packs, name).map(({ number, gzip, sha256, bytes }) => {
      const data = Buffer.from(gzip, "base64");
      const part = gunzipSync(data);
      packed += data.length;
      const hash = createHash("sha256").update(part).digest("hex");
      assert.equal(sha256, hash, `the hash of part ${number} of ${name} is wrong`);
      assert.equal(bytes, part.length, `the length of part ${number} of ${name} is wrong`);
      return part;
    });
    assert.ok(Buffer.concat(parts).equals(Buffer.from(text)), `${name}, unpacked, is not what it was`);
  }
  return { bytes: sum(texts.map(({ text }) => Buffer.byteLength(text))), packed };
}

/** Results of one document in the order of its parts. */
const partsOf = (results, name) =>
  results.filter(({ document }) => document === name).sort((a, b) => a.number - b.number);

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

const kib = (bytes) => `${count(Math.round(bytes / 1024))} KiB`;
