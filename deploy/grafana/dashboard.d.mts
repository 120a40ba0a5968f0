/** As far as tests look at it. */
export interface Dashboard {
  panels: { title: string; targets?: { expr: string; legendFormat: string }[] }[];
}

/** What drover.json has to hold. */
export function text(): string;
