// The documents that the show works on: those of this repository, or of a folder.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, extname, join, relative } from "node:path";

const kinds = new Set([".md", ".mdx", ".txt", ".rst", ".adoc", ".org", ".tex", ".html", ".proto"]);
const skipped = new Set(["node_modules", "dist", "gen", "__pycache__"]);
/** More would only make the show longer. */
const most = { documents: 100, bytes: 2 * 1024 * 1024 };
/** What fits into a payload (512 KiB) beside the names. */
const longest = 500 * 1024;

/** `[{ name, text }]`, and how many documents were passed over. @throws Error that says what is wrong */
export function textsOf(folder) {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new Error(`${folder} is no folder.`);
  const texts = [];
  let bytes = 0;
  let passedOver = 0;
  for (const path of filesBelow(folder)) {
    const text = readFileSync(path, "utf8");
    const size = Buffer.byteLength(JSON.stringify(text));
    const full = texts.length === most.documents || bytes + size > most.bytes;
    // What is not UTF-8 would not come back byte by byte.
    if (text.trim() === "" || text.includes("\ufffd") || size > longest || full) passedOver++;
    else {
      bytes += size;
      texts.push({ name: relative(folder, path), text });
    }
  }
  if (texts.length > 0) return { texts, passedOver };
  throw new Error(`There are no documents in ${folder} (${[...kinds].join(" ")}).`);
}

function* filesBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !skipped.has(entry.name)) yield* filesBelow(path);
    else if (entry.isFile() && (kinds.has(extname(path)) || basename(path) === "LICENSE")) yield path;
  }
}
