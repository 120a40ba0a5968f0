// Colours on a terminal only; what progress.mjs has, and bold.
export { dim, green, yellow } from "../support/progress.mjs";

export const bold = (text) =>
  process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[1m${text}\x1b[0m` : text;
