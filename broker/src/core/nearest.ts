// Did you mean ...?

/** The known word that differs least from a misspelt one; undefined when it would take more than four changes, or as many as
 *  make half another word. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((other) => ({ other, far: distance(word, other) }))
    .filter(({ far }) => far <= 4 && far < word.length / 2)
    .sort((a, b) => a.far - b.far);
  return best?.other;
}

/** How many characters must be put in, left out or changed to make one text the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
