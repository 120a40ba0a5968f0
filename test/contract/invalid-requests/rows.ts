// Requests that no broker takes, a table for each service: what is wrong, the request, and the fields that the refusal
// names, in its order.

import type { Message } from "../../support/stranger.js";

export type InvalidRequests = Record<string, [what: string, request: Message, fields: string[]][]>;

/** s. */
export const day = 86_400;

export const many = (count: number, item: unknown = "t~k") => Array.from({ length: count }, () => item);
