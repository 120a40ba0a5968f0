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
import { Keeper } from "./app/keeper.js";
import { KeyPlaces } from "./app/key-places.js";
import { Ledger } from "./app/ledger.js";
import { LimitWatch } from "./app/limit-watch.js";
import { LimitControl } from "./app/limits.js";
import { Move } from "./app/move.js";
import { Overdue } from "./app/overdue.js";
import { Promoter } from "./app/promoter.js";
import { QueueControl } from "./app/queues.js";
import { Reader } from "./app/reader.js";
import { RouteControl } from "./app/routes.js";
import { ScheduleOwners } from "./app/schedule-owners.js";
import { ScheduleControl } from "./app/schedules.js";
import { Sessions } from "./app/sessions.js";
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
import { readSchedule } from "./grpc/schedule-service.js";
import { Bodies } from "./jetstream/bodies.js";
import { DueFeed } from "./jetstream/due.js";
import { OldestReady } from "./jetstream/oldest-ready.js";
import { PhaseCounts } from "./jetstream/phase-counts.js";
import type { Store } from "./jetstream/store.js";
import { Sweeps } from "./jetstream/sweeps.js";
import { randomPool } from "./random-pool.js";
import { SignedTokens } from "./tokens.js";

const pingEvery = 5_000;

/** What goes on by itself for as long as a broker runs. */
interface Duty {
  start(): void | Promise<void>;
  stop(): void;
}

export type Parts = Awaited<ReturnType<typeof assemble>>;

/** Running when it is returned. @throws Error where the store does not answer */
export async function assemble(config: Config, store: Store, told: Telemetry, log: Log, run: RunTimes) {
  const { jobs, journal, lanes, peers, clock } = store;
  const traffic = new Traffic(() => performance.now());
  const telemetry = traffic.seen(told);
  const broker = peers.self;
  const random = randomPool();
  const tokens = new SignedTokens(store.tokenKey);
  const hints = new Hints(jobs, peers);
  const agenda = new Agenda();
  const ledger = new Ledger(journal, jobs, lanes, clock, hints, agenda);
  const promoter = new Promoter(agenda, ledger, jobs, clock, telemetry, log);
  const holdings = new Holdings();
  const settling = new Settling(ledger, holdings, jobs, clock, telemetry, log, broker, run);
  const graphs = new FlowGraphs(store.flows);
  const flowReads = new FlowReads(store.flows, graphs, jobs);
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
  const deliveries: Deliveries = new Deliveries(
    ledger,
    jobs,
    peers,
    holdings,
    telemetry,
    log,
    (ticket) => dispatcher.accept(ticket),
    (id) => dispatcher.isBuffered(id),
  );
  const dispatcher: Dispatcher = new Dispatcher(
    lanes,
    (ticket) => deliveries.giveBack(ticket),
    (ticket) => deliveries.examine(ticket),
    run,
  );
  const sessions = new Sessions(
    broker,
    {
      // A worker that has nothing to say is heard by its pongs: there must be some in every timeout.
      pingEvery: Math.min(pingEvery, config.sessionTimeout / 3),
      timeout: config.sessionTimeout,
      grace: config.sessionGrace,
    },
    { settling, granting, tokens, hints, clock },
    ledger,
    jobs,
    holdings,
    dispatcher,
    telemetry,
  );
  const unary = new UnaryWorkers(
    ledger,
    settling,
    granting,
    holdings,
    dispatcher,
    tokens,
    clock,
    broker,
    peers,
  );
  const keeper = new Keeper(holdings, settling, clock, log);
  const reader = new Reader(jobs, peers, holdings);
  const waiting = new Waiting(reader, hints);
  const unique = new UniqueJobs(store.claims, ledger, jobs, clock);
  const cancel = new Cancel(
    ledger,
    jobs,
    reader,
    peers,
    holdings,
    settling,
    dispatcher,
    clock,
    telemetry,
    log,
    unique,
  );
  const flowSteps = new FlowSteps(store.flows, graphs, jobs, ledger, cancel, clock, log);
  const flows = new FlowControl(
    store.flows,
    flowReads,
    graphs,
    flowSteps,
    ledger,
    jobs,
    store.storage,
    clock,
    telemetry,
    log,
    random,
    digest,
  );
  const submit = new Submit(ledger, jobs, store.storage, clock, telemetry, random, unique);
  const limits = new LimitControl(store.limits, dispatcher, holdings, peers, clock, log);
  const keys = new KeyPlaces(
    store.keys,
    ledger,
    jobs,
    (task, queue) => limits.perKey(task, queue),
    peers,
    clock,
    log,
  );
  ledger.keyed = (changed) => keys.changed(changed);
  const queues = new QueueControl(
    store.queues,
    lanes,
    dispatcher,
    holdings,
    peers,
    clock,
    log,
    limits,
    traffic,
    { ages: () => upkeep.oldest.ages() },
    run,
  );
  const routes = new RouteControl(store.routes, peers, clock, log);
  const firings = new Firings(
    store.schedules,
    jobs,
    submit,
    cancel,
    peers,
    clock,
    routes,
    readSchedule,
    random,
    log,
    run,
    telemetry,
  );
  const owners = new ScheduleOwners(store.schedules, peers, clock);
  const schedules = new ScheduleControl(store.schedules, owners, firings, clock, routes, readSchedule);
  const inspect = new Inspect(peers, holdings, sessions, dispatcher, keeper);
  const move = new Move(ledger, jobs, lanes, reader, peers, holdings, settling, dispatcher);
  const explain = new Explain(
    reader,
    queues,
    store.queues,
    limits,
    store.flows,
    graphs,
    keys,
    dispatcher,
    peers,
    clock,
  );
  const tasks = new TaskControl(store.queues, limits, inspect);
  const alarms = new Alarms(ledger, jobs, peers, clock, telemetry, log);
  const due = new DueFeed(store.jsm, store.inbox, store.subjects, (found) => alarms.look(found));
  const upkeep = upkeepOf(store, queues, limits, telemetry, log);
  const stop = await started([
    { start: idle, stop: () => hints.close() },
    { start: idle, stop: () => sessions.stop() },
    { start: idle, stop: () => keeper.stop() },
    { start: idle, stop: () => limits.stop() },
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

/** What keeps the store small and in order, and counts what lies in it. */
function upkeepOf(store: Store, queues: QueueControl, limits: LimitControl, telemetry: Telemetry, log: Log) {
  const { nc, jsm, jobs, journal, lanes, clock, subjects } = store;
  return {
    overdue: new Overdue(jobs, journal, clock, store.storage, log),
    sweeps: new Sweeps(nc, jsm, subjects, lanes, (queue) => queues.settingsOf(queue), clock, telemetry, log),
    bodies: new Bodies(jsm, subjects, jobs, telemetry, log),
    oldest: new OldestReady({
      nc,
      lanes,
      stream: (shard) => subjects.stream(shard),
      now: () => clock.now(),
      problem: (error) => log.debug({ err: error }, "the oldest ready jobs could not be looked up"),
    }),
    counts: new PhaseCounts({
      nc,
      subjects,
      lanes,
      problem: (error) => log.debug({ err: error }, "jobs could not be counted"),
    }),
    limitWatch: new LimitWatch(limits, log),
  };
}

/** Starts them in this order, and returns what stops them in the reverse. */
async function started(duties: readonly Duty[]): Promise<() => void> {
  const running: Duty[] = [];
  const stop = () => {
    for (const duty of running.splice(0).reverse()) duty.stop();
  };
  try {
    for (const duty of duties) {
      await duty.start();
      running.push(duty);
    }
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}

/** Of what goes on from when it is built. */
function idle(): void {}

/** SHA-256. */
function digest(content: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of content) hash.update(part);
  return hash.digest();
}
