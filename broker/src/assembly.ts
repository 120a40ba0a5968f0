// The use cases on top of a store, each given what it needs of the others, and what of them goes on by itself. They are
// built here and nowhere else, in the order in which they depend on one another; where two need each other, the one that
// is built first is handed a call to the other.

import { createHash } from "node:crypto";
import { Agenda } from "./app/agenda.js";
import { Alarms } from "./app/alarms.js";
import { Cancel } from "./app/cancel.js";
import { Deliveries } from "./app/deliveries.js";
import { Dispatcher } from "./app/dispatcher.js";
import { Explain } from "./app/explain.js";
import { Firings } from "./app/firings.js";
import { FlowGraphs } from "./app/flow-graphs.js";
import { FlowReads } from "./app/flow-reads.js";
import { FlowSteps } from "./app/flow-steps.js";
import { FlowControl } from "./app/flows.js";
import { Granting } from "./app/granting.js";
import { Hints } from "./app/hints.js";
import { Holdings } from "./app/holdings.js";
import { Inspect } from "./app/inspect.js";
import { Intake } from "./app/intake.js";
import { Keeper } from "./app/keeper.js";
import { KeyPlaces } from "./app/key-places.js";
import { Ledger } from "./app/ledger.js";
import { LimitControl } from "./app/limits.js";
import { Move } from "./app/move.js";
import { Promoter } from "./app/promoter.js";
import { QueueControl } from "./app/queues.js";
import { Reader } from "./app/reader.js";
import { RouteControl } from "./app/routes.js";
import { ScheduleOwners } from "./app/schedule-owners.js";
import { ScheduleControl } from "./app/schedules.js";
import { Sessions, type SessionTimes } from "./app/sessions.js";
import { Settling } from "./app/settling.js";
import { Submit } from "./app/submit.js";
import { TaskControl } from "./app/tasks.js";
import type { Log, Telemetry } from "./app/telemetry.js";
import { Traffic } from "./app/traffic.js";
import { UnaryWorkers } from "./app/unary.js";
import { UniqueJobs } from "./app/unique.js";
import { Waiting } from "./app/waiting.js";
import type { Config } from "./config.js";
import type { RunTimes } from "./core/limits.js";
import { started } from "./duties.js";
import { readSchedule } from "./grpc/schedule-service.js";
import { DueFeed } from "./jetstream/due.js";
import type { Store } from "./jetstream/store.js";
import { randomPool } from "./random-pool.js";
import { SignedTokens } from "./tokens.js";
import { upkeepOf } from "./upkeep.js";

/** The usual time between two pings of a session, ms. */
const pingEvery = 5_000;

export type Parts = Awaited<ReturnType<typeof assemble>>;

/** Running when it is returned. @throws Error where the store does not answer */
export async function assemble(config: Config, store: Store, told: Telemetry, log: Log, run: RunTimes) {
  const { jobs, journal, lanes, peers, clock, storage } = store;
  const traffic = new Traffic(() => performance.now());
  const telemetry = traffic.seen(told);
  const broker = peers.self;
  const randomBytes = randomPool();
  const tokens = new SignedTokens(store.tokenKey);
  const hints = new Hints(jobs, peers);
  const agenda = new Agenda();
  const writing = { journal, jobs, lanes, clock, hints, agenda };
  const intake = new Intake(writing);
  const ledger = new Ledger(writing);
  const promoter = new Promoter({ agenda, ledger, jobs, clock, telemetry, log });
  const holdings = new Holdings();
  const settling = new Settling({ ledger, holdings, jobs, clock, telemetry, log, broker }, run);
  const graphs = new FlowGraphs(store.flows);
  const flowReads = new FlowReads(store.flows, graphs, jobs);

  // Handing jobs out.
  const granting = new Granting(
    ledger,
    settling,
    holdings,
    jobs,
    tokens,
    hints,
    clock,
    telemetry,
    log,
    (spec) => flowReads.inlineInputs(spec),
    (ref, known, origin) => keys.enter(ref, known, origin),
  );
  const deliveries: Deliveries = new Deliveries({
    ledger,
    jobs,
    peers,
    holdings,
    telemetry,
    log,
    accept: (ticket) => dispatcher.accept(ticket),
    isBuffered: (id) => dispatcher.isBuffered(id),
  });
  const dispatcher: Dispatcher = new Dispatcher(
    lanes,
    (ticket) => deliveries.giveBack(ticket),
    (ticket) => deliveries.examine(ticket),
    run,
  );
  const leasing = { ledger, jobs, settling, granting, holdings, dispatcher, tokens, clock, broker };
  const sessions = new Sessions({ ...leasing, hints, telemetry }, sessionTimes(config));
  const unary = new UnaryWorkers({ ...leasing, peers });
  const keeper = new Keeper(holdings, settling, clock, log);

  // What can be done with jobs.
  const reader = new Reader(jobs, peers, holdings);
  const waiting = new Waiting(reader, hints);
  const unique = new UniqueJobs(store.claims, intake, jobs, clock);
  const changing = { ledger, jobs, reader, peers, holdings, settling, dispatcher };
  const cancel = new Cancel({ ...changing, clock, telemetry, log, unique });
  const move = new Move({ ...changing, lanes });
  const submit = new Submit({ intake, ledger, jobs, storage, clock, telemetry, randomBytes, unique });
  const alarms = new Alarms({ ledger, jobs, peers, clock, telemetry, log });
  const due = new DueFeed(store.jsm, store.inbox, store.subjects, (found) => alarms.look(found));

  // Flows.
  const flowing = { flows: store.flows, graphs, jobs, ledger, cancel, clock, log };
  const flowSteps = new FlowSteps(flowing);
  const flows = new FlowControl({
    ...flowing,
    intake,
    reads: flowReads,
    steps: flowSteps,
    storage,
    telemetry,
    randomBytes,
    digest,
  });

  // Limits, queues and tasks.
  const limits = new LimitControl({ store: store.limits, dispatcher, holdings, peers, clock, log });
  const keys = new KeyPlaces({
    store: store.keys,
    ledger,
    jobs,
    most: (task, queue) => limits.perKey(task, queue),
    peers,
    clock,
    log,
  });
  ledger.keyed = (changed) => keys.changed(changed);
  const oldest = { ages: () => upkeep.oldest.ages() };
  const queues = new QueueControl(
    { queues: store.queues, lanes, dispatcher, holdings, peers, clock, log, limits, traffic, oldest },
    run,
  );

  // Schedules, and the routes that their jobs take.
  const routes = new RouteControl(store.routes, peers, clock, log);
  const scheduling = { schedules: store.schedules, clock, routes, read: readSchedule };
  const firings = new Firings(
    { ...scheduling, jobs, submit, cancel, peers, randomBytes, log, telemetry },
    run,
  );
  const owners = new ScheduleOwners(store.schedules, peers, clock);
  const schedules = new ScheduleControl({ ...scheduling, owners, firings });

  // Looking.
  const inspect = new Inspect(peers, holdings, sessions, dispatcher, keeper);
  const tasks = new TaskControl(store.queues, limits, inspect);
  const explain = new Explain({
    reader,
    settings: queues,
    queues: store.queues,
    limits,
    flows: store.flows,
    graphs,
    keys,
    dispatcher,
    peers,
    clock,
  });

  const upkeep = upkeepOf({ store, queues, limits, telemetry, log });
  const stop = await started([
    { stop: () => hints.close() },
    { stop: () => sessions.stop() },
    { stop: () => keeper.stop() },
    { stop: () => limits.stop() },
    due,
    { start: () => store.flows.start((tickets) => flowSteps.look(tickets)), stop: () => store.flows.stop() },
    flows,
    { start: () => lanes.start(dispatcher), stop: () => lanes.stop() },
    queues,
    routes,
    {
      start: () => store.schedules.start((tickets) => firings.look(tickets)),
      stop: () => store.schedules.stop(),
    },
    firings,
    promoter,
    keys,
    ...Object.values(upkeep),
  ]);
  return {
    store,
    agenda,
    holdings,
    dispatcher,
    sessions,
    unary,
    reader,
    waiting,
    cancel,
    move,
    explain,
    submit,
    flows,
    flowReads,
    flowSteps,
    schedules,
    firings,
    queues,
    tasks,
    limits,
    keys,
    routes,
    inspect,
    ...upkeep,
    stop,
  };
}

/** What a worker that has nothing to say is heard by are its pongs: there must be some in every timeout. */
function sessionTimes({ sessionTimeout, sessionGrace }: Config): SessionTimes {
  return {
    pingEvery: Math.min(pingEvery, sessionTimeout / 3),
    timeout: sessionTimeout,
    grace: sessionGrace,
  };
}

/** SHA-256. */
function digest(content: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of content) hash.update(part);
  return hash.digest();
}
