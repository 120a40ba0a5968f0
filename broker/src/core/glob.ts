// Patterns as people write them: `*` is any run of characters, also none, `?` is one. Taken apart once; a match walks
// the text from left to right and never goes back behind a `*`, so that no pattern, however it is made, costs more than
// the text's length times its own.

export type Glob = (text: string) => boolean;

/** Matches the whole of a text, not a part of it. */
export function compileGlob(pattern: string): Glob {
  const pieces = pattern.split("*");
  const [head = "", ...rest] = pieces;
  const tail = rest.pop();
  if (tail === undefined) {
    return head.includes("?")
      ? (text) => text.length === head.length && isAt(text, head, 0)
      : (text) => text === head;
  }
  const between = rest.filter((piece) => piece !== "");
  const least = pattern.length - rest.length - 1;
  return (text) => {
    const end = text.length - tail.length;
    if (text.length < least || !isAt(text, head, 0) || !isAt(text, tail, end)) return false;
    let from = head.length;
    for (const piece of between) {
      // The first place where a piece fits is the best: it leaves the most for those that follow.
      const found = find(text, piece, from);
      if (found === undefined) return false;
      from = found + piece.length;
    }
    return from <= end;
  };
}

function find(text: string, piece: string, from: number): number | undefined {
  for (let at = from; at + piece.length <= text.length; at++) if (isAt(text, piece, at)) return at;
  return undefined;
}

function isAt(text: string, piece: string, at: number): boolean {
  for (let i = 0; i < piece.length; i++) {
    if (piece[i] !== "?" && piece[i] !== text[at + i]) return false;
  }
  return true;
}
