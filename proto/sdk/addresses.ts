// Where the brokers are. All brokers are alike, so a worker keeps to one until that fails it, then takes the next.

export const DEFAULT_ADDRESS = "127.0.0.1:50051";

export interface AddressOptions {
  /** `host:port` of one broker, or several separated by commas. Default: DROVER_ADDRESS, else 127.0.0.1:50051. */
  readonly address?: string | undefined;
  readonly addresses?: readonly string[] | undefined;
}

/** @throws RangeError for what is no `host` or `host:port`. */
export function addressesOf(
  options: AddressOptions,
  env: Record<string, string | undefined> = process.env,
): string[] {
  const given = options.addresses ?? (options.address ?? (env.DROVER_ADDRESS || DEFAULT_ADDRESS)).split(",");
  const addresses = given.map((address) => address.trim()).filter((address) => address !== "");
  if (addresses.length === 0) throw new RangeError("no broker address given");
  return addresses.map(withPort);
}

function withPort(address: string): string {
  if (address.includes("/"))
    throw new RangeError(`broker address ${address}: use host:port, without a scheme`);
  const port = /:(\d+)$/.exec(address)?.[1];
  if (port === undefined) return `${address}:50051`;
  if (Number(port) < 1 || Number(port) > 65_535)
    throw new RangeError(`broker address ${address}: ${port} is no port`);
  return address;
}

/** A list to go round in. It starts anywhere, so that many processes spread over the brokers. */
export class Ring {
  #at: number;

  constructor(
    readonly addresses: readonly string[],
    random: () => number = Math.random,
  ) {
    this.#at = Math.floor(random() * addresses.length);
  }

  get current(): string {
    return this.addresses[this.#at] as string;
  }

  next(): string {
    this.#at = (this.#at + 1) % this.addresses.length;
    return this.current;
  }
}
