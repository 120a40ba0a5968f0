// What drover.v1.QueueService says of routes.

import type { QueueServiceServer, Route as WireRoute } from "@drover/proto/v1";
import type { Clock } from "../app/ports.js";
import type { DeclaredRoute, RoutesApi } from "../app/queue-api.js";
import { invalid } from "../core/errors.js";
import type { Route } from "../core/routes.js";
import { below, specOfDraft } from "../core/spec.js";
import type { Calls } from "./calls.js";
import { toDraft } from "./convert-job.js";
import { toTimestampOrUnset } from "./time.js";

export function routeMethods(
  routes: RoutesApi,
  clock: Clock,
  calls: Calls,
): Pick<QueueServiceServer, "listRoutes" | "putRoutes" | "testRoute"> {
  return {
    listRoutes: calls.unary("QueueService/ListRoutes", async () => {
      const { routes: all, changedAt } = await routes.list();
      return { routes: all.map(toRoute), changedAt: toTimestampOrUnset(changedAt) };
    }),

    putRoutes: calls.unary("QueueService/PutRoutes", async (request) => {
      const { owner, dryRun } = request;
      const put = await routes.put({ owner, routes: request.routes.map(fromRoute), dryRun });
      return { ...put, routes: put.routes.map(toRoute) };
    }),

    testRoute: calls.unary("QueueService/TestRoute", async ({ job }) => {
      if (job === undefined) throw invalid([{ field: "job", description: "is required" }]);
      const draft = toDraft(job);
      const checked = specOfDraft(draft, clock.now(), routes);
      if ("violations" in checked) throw invalid(below("job.", checked.violations));
      const route = routes.find(draft);
      const { queue, priority } = checked.spec;
      return { route: route && toRoute(route), queue, priority };
    }),
  };
}

function fromRoute({ name, task, labels, queue, priority }: WireRoute): DeclaredRoute {
  return { name, task, labels, queue, priority };
}

function toRoute({ name, owner, task, labels, queue, priority }: Route): WireRoute {
  return { name, owner, task, labels, queue, priority };
}
