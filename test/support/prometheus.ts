// A real Prometheus server that scrapes one broker each second.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "./nats.js";
import { until } from "./until.js";

const tools = fileURLToPath(new URL("../../.drover/tools/bin", import.meta.url));
const patience = 60_000;

export const promtool = join(tools, "promtool");

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

export class Prometheus {
  private constructor(
    readonly url: string,
    private readonly process: ChildProcess,
    private readonly dir: string,
  ) {}

  /** Settles once it has scraped `target`, as host:port. */
  static async start(target: string): Promise<Prometheus> {
    const dir = mkdtempSync(join(tmpdir(), "drover-prometheus-"));
    const port = await freePort();
    const labels = { instance: "broker" };
    const scrape = {
      job_name: "drover",
      scrape_interval: "1s",
      static_configs: [{ targets: [target], labels }],
    };
    // JSON is YAML.
    writeFileSync(join(dir, "prometheus.yml"), JSON.stringify({ scrape_configs: [scrape] }));
    const args = [
      `--config.file=${join(dir, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(dir, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--enable-feature=exemplar-storage",
    ];
    const started = new Prometheus(
      `http://127.0.0.1:${port}`,
      spawn(join(tools, "prometheus"), args, { stdio: "ignore" }),
      dir,
    );
    const up = async () => (await started.values("up").catch((): number[] => [])).includes(1);
    try {
      await until("Prometheus to scrape", up, patience);
      return started;
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null) {
      this.process.kill();
      await once(this.process, "exit");
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** What an instant query gives now. @throws Error with Prometheus's words for one that it does not understand */
  async ask(query: string): Promise<Sample[]> {
    const { resultType, result } = await this.#api<{
      resultType: string;
      result: { metric: Record<string, string>; value: [number, string] }[] | [number, string];
    }>(`query?query=${encodeURIComponent(query)}`);
    if (resultType === "scalar") return [{ labels: {}, value: Number((result as [number, string])[1]) }];
    return (result as { metric: Record<string, string>; value: [number, string] }[]).map(
      ({ metric, value }) => ({ labels: metric, value: Number(value[1]) }),
    );
  }

  async values(query: string): Promise<number[]> {
    return (await this.ask(query)).map(({ value }) => value);
  }

  /** The labels of the exemplars of the last minutes. */
  async exemplars(query: string): Promise<Record<string, string>[]> {
    const now = Date.now() / 1_000;
    const range = `start=${now - 600}&end=${now + 60}`;
    const found = await this.#api<{ exemplars: { labels: Record<string, string> }[] }[]>(
      `query_exemplars?query=${encodeURIComponent(query)}&${range}`,
    );
    return found.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels));
  }

  async #api<Data>(path: string): Promise<Data> {
    const answer = await fetch(`${this.url}/api/v1/${path}`);
    const { data, error } = (await answer.json()) as { data: Data; error?: string };
    if (error !== undefined) throw new Error(`${decodeURIComponent(path)}: ${error}`);
    return data;
  }
}
