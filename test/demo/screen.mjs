// What the audience sees: lines that stay, one line that changes (on a terminal; elsewhere it is told now and then), and
// tables. Colours on a terminal only.
import { dim } from "../support/progress.mjs";

const terminal = process.stdout.isTTY === true;
const frame = 100;
/** Between two signs of life where there is no terminal, ms. */
const quiet = 2_000;
const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";

export class Screen {
  #started = performance.now();
  #toldAt = performance.now();
  #status = () => "";
  #timer;
  #frames = 0;

  /** From now on `status()` is shown until close(). */
  open(status) {
    this.#status = status;
    this.#timer = setInterval(() => this.#show(), frame);
  }

  close() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }

  /** A line that stays. */
  say(text) {
    this.#clear();
    console.log(`${dim(this.seconds().padStart(6))}  ${text}`);
    this.#toldAt = performance.now();
  }

  /** Since the beginning. */
  seconds() {
    return `${((performance.now() - this.#started) / 1000).toFixed(1)} s`;
  }

  #show() {
    const status = this.#status();
    if (status === "") return;
    if (terminal) {
      const sign = spinner[this.#frames++ % spinner.length];
      const line = `${sign} ${this.seconds().padStart(5)}  ${status}`;
      process.stdout.write(`\r\x1b[2K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`);
    } else if (performance.now() - this.#toldAt >= quiet) {
      this.say(status);
    }
  }

  #clear() {
    if (terminal && this.#frames > 0) process.stdout.write("\r\x1b[2K");
  }
}

/** Rows of cells, each column as wide as its widest cell and the last one folded at the terminal's edge. `paint(text,
 *  row, column)` colours what has its width already. */
export function table(head, rows, paint = (text) => text) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const indent = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const room = terminal ? Math.max(30, process.stdout.columns - indent - 1) : Number.POSITIVE_INFINITY;
  const line = (row, painted) => {
    const [last, ...more] = folded(row.at(-1), room);
    const cells = row.slice(0, -1).map((cell, column) => painted(cell.padEnd(widths[column]), column));
    return [[...cells, last].join("  "), ...more.map((text) => " ".repeat(indent) + text)].join("\n");
  };
  console.log(dim(line(head, (text) => text)));
  for (const row of rows) console.log(line(row, (text, column) => paint(text, row, column)));
}

function folded(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

export const count = (number) => number.toLocaleString("en");

/** `1 document`, `2 documents` */
export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;
