// `drover-broker health`: asks the broker that runs with the same settings whether it can serve. For containers, which
// have no curl.

import { get } from "node:http";

/** Undefined: it can. Otherwise why not, in one line. */
export function checkHealth(
  at: { host: string; port: number },
  timeout = 3_000,
): Promise<string | undefined> {
  // A broker that listens everywhere is reached at home.
  const host = at.host === "0.0.0.0" ? "127.0.0.1" : at.host === "::" ? "::1" : at.host;
  return new Promise((resolve) => {
    const request = get({ host, port: at.port, path: "/readyz", timeout }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
      });
      response.on("end", () =>
        resolve(response.statusCode === 200 ? undefined : body.trim().replaceAll("\n", "; ")),
      );
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeout} ms`)));
    request.on("error", (error) => resolve(error.message));
  });
}
