import type { InvalidRequests } from "./rows.js";

export const invalid: InvalidRequests = {
  "InspectService/Active": [["a limit of 10,001", { limit: 10_001 }, ["limit"]]],
};
