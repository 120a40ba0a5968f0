// How answers are shown: tables and records for people, JSON for programs. Colours only where there is a terminal that
// wants them.

import type { Io } from "./io.js";
import { cut, json, oneLine, widthOf } from "./text.js";

export type Format = "table" | "json";
export type Tint = "red" | "green" | "yellow" | "dim" | "bold";

const codes: Readonly<Record<Tint, number>> = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 };

export interface Column<Row> {
  readonly title: string;
  /** Anything; it is made safe for a terminal here. */
  readonly of: (row: Row) => string | number;
  readonly right?: boolean;
  readonly tint?: (row: Row) => Tint | undefined;
}

export class View {
  constructor(
    readonly io: Io,
    readonly format: Format,
  ) {}

  get machine(): boolean {
    return this.format === "json";
  }

  get colours(): boolean {
    return this.io.out.isTTY === true && !this.io.env.NO_COLOR && this.io.env.TERM !== "dumb";
  }

  /** Columns of the terminal; Infinity where there is none, or none that says. */
  get width(): number {
    const { isTTY, columns } = this.io.out;
    return isTTY === true && columns !== undefined && columns > 0 ? columns : Number.POSITIVE_INFINITY;
  }

  /** One value: as JSON, or as `people` shows it. */
  show<T>(value: T, people: (value: T) => void): void {
    if (this.machine) this.line(json(value, 2));
    else people(value);
  }

  /** Rows: a JSON array, or a table. */
  rows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], none: string): void {
    if (this.machine) this.line(json(rows, 2));
    else if (rows.length === 0) this.note(none);
    else for (const text of this.table(rows, columns)) this.line(text);
  }

  table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
    const cells = rows.map((row) => columns.map(({ of }) => oneLine(String(of(row)))));
    const widths = columns.map(({ title }, i) =>
      Math.max(title.length, ...cells.map((line) => widthOf(line[i] ?? ""))),
    );
    const pad = (text: string, i: number) => {
      const blanks = " ".repeat((widths[i] ?? 0) - widthOf(text));
      if (columns[i]?.right === true) return blanks + text;
      return i === columns.length - 1 ? text : text + blanks;
    };
    const lines = rows.map((row, at) =>
      this.#fitting((cells[at] ?? []).map((text, i) => [pad(text, i), columns[i]?.tint?.(row)])),
    );
    return [this.#fitting(columns.map(({ title }, i) => [pad(title.toUpperCase(), i), "dim"])), ...lines];
  }

  /** Cells side by side. On a terminal a line ends at its edge: a table whose lines wrap cannot be read. */
  #fitting(cells: readonly (readonly [text: string, tint: Tint | undefined])[]): string {
    const gap = "  ";
    let left = this.width;
    let line = "";
    for (const [i, [text, tint]] of cells.entries()) {
      const before = i === 0 ? "" : gap;
      const room = left - before.length;
      if (room < 1) break;
      const shown = widthOf(text) <= room ? text : cut(text.trimEnd(), room);
      line += before + this.tint(shown, tint);
      left = room - widthOf(shown);
    }
    return line.trimEnd();
  }

  /** `name  value`, one a line; what is empty is left out. */
  record(pairs: readonly (readonly [string, string | number | undefined])[]): void {
    const said = pairs.filter(([, value]) => value !== undefined && value !== "");
    const width = Math.max(0, ...said.map(([name]) => name.length));
    for (const [name, value] of said)
      this.line(`${this.tint(name.padEnd(width), "dim")}  ${oneLine(String(value))}`);
  }

  line(text: string): void {
    this.io.out.write(`${text}\n`);
  }

  /** For people only, beside what a program reads. */
  note(text: string): void {
    this.io.err.write(`${oneLine(text)}\n`);
  }

  tint(text: string, tint: Tint | undefined): string {
    return tint === undefined || !this.colours ? text : `\u001b[${codes[tint]}m${text}\u001b[0m`;
  }
}

const every = 200;

/** A line that counts up while something long goes on: only on a terminal, gone once it is over. */
export class Progress {
  #shown = 0;

  constructor(
    readonly io: Io,
    readonly say: (done: number) => string,
  ) {}

  at(done: number): void {
    if (this.io.err.isTTY !== true || Date.now() - this.#shown < every) return;
    this.#shown = Date.now();
    this.io.err.write(`\r\u001b[2K${this.say(done)}`);
  }

  over(): void {
    if (this.#shown > 0) this.io.err.write("\r\u001b[2K");
  }
}
