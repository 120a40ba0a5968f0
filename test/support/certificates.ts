// Certificates for a test, made by openssl: an authority, and what it says of others.

import { execFileSync } from "node:child_process";
import { join } from "node:path";

export interface Certificate {
  /** Paths of files in PEM. */
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  private constructor(
    private readonly folder: string,
    private readonly own: Certificate,
  ) {}

  static make(folder: string, name: string): Authority {
    const own = files(folder, name);
    openssl(own, name, []);
    return new Authority(folder, own);
  }

  /** Of this authority itself, for those who are to trust it. */
  get ca(): string {
    return this.own.cert;
  }

  /** For a server on this machine, or for whoever calls one. */
  issue(name: string): Certificate {
    const issued = files(this.folder, name);
    const extensions = ["subjectAltName=DNS:localhost,IP:127.0.0.1", "basicConstraints=critical,CA:FALSE"];
    const by = ["-CA", this.own.cert, "-CAkey", this.own.key];
    openssl(issued, name, [...by, ...extensions.flatMap((extension) => ["-addext", extension])]);
    return issued;
  }
}

function files(folder: string, name: string): Certificate {
  return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
}

function openssl({ cert, key }: Certificate, name: string, more: readonly string[]): void {
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  const made = ["-keyout", key, "-out", cert, "-subj", `/CN=drover test ${name}`];
  execFileSync("openssl", ["req", "-x509", ...curve, ...made, ...more], { stdio: "pipe" });
}
