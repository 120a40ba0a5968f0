// What a user sees of long work: a line when it begins, one when it has ended, and a sign of life in between.
// Colours on a terminal only.
const colours = process.stdout.isTTY === true && !process.env.NO_COLOR;
const paint = (code) => (text) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);

export const green = paint(32);
export const red = paint(31);
export const yellow = paint(33);
export const dim = paint(2);

export const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

const signOfLife = 20_000;

/**
 * Does a piece of work and tells of it. What came of it may be told by `summary`: a result to `{ ok, text }`.
 */
export async function step(label, work, summary = () => ({ ok: true, text: "" })) {
  const started = performance.now();
  const end = ({ ok, text }) => {
    clearInterval(timer);
    console.log(
      `${ok ? green("✓") : red("✗")} ${label}${text && `: ${text}`} ${dim(`(${seconds(started)})`)}`,
    );
  };
  console.log(`${dim("·")} ${label} ...`);
  const timer = setInterval(
    () => console.log(`${dim("·")} ${label}: ${seconds(started)} so far`),
    signOfLife,
  );
  try {
    const result = await work();
    end(summary(result));
    return result;
  } catch (error) {
    end({ ok: false, text: "" });
    throw error;
  }
}
