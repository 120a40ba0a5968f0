// Who gets which ticket next. Inside a queue the highest priority goes first, always; among tasks of one priority, in
// turn; among a worker's queues, by weight. Nothing polls: a lane that is known to hold tickets is pulled from as far as
// there is credit for them, and on one that is believed empty a request for a single ticket stays open, also while a
// lower lane is being drained. What that brings beyond the credit waits here for 5 s at most, then goes back.

import { type RunTimes, times } from "../core/limits.js";
import { jobId } from "../core/names.js";
import type { Gate } from "./gate.js";
import type { LaneEvents, LaneKey, Lanes, LaneView, Ticket } from "./ports.js";
import { byQueue, isComing, isPreceded } from "./precedence.js";

/** Most tickets asked of a lane at once. */
const mostPulled = 500;
/** Below every priority there is. */
const anyPriority = -1;

/** A session, or a unary call that waits. */
export interface Taker {
  /** Its queues and their weights. */
  readonly queues: ReadonlyMap<string, number>;
  serves(task: string): boolean;
  /** Whether it will want jobs again: a draining one will not. */
  readonly active: boolean;
  /** Jobs it can take now, of any task. */
  free(): number;
  /** Jobs of this task it can take now, at most free(). */
  freeFor(task: string): number;
  /** Takes a ticket; free() is one less from then on. */
  take(ticket: Ticket): void;
  /** Called after each round in which it took something. */
  flush(): void;
}

interface Buffered {
  ticket: Ticket;
  /** ms, this machine's clock. */
  since: number;
}

interface Line {
  lane: LaneView;
  waiting: Buffered[];
  /** Tickets that are being looked into: they have their takers, should they turn out to be good. */
  examined: number;
  takers: Taker[];
  /** When it was pulled from last: among lines of one priority that one comes last. */
  turn: number;
  /** When a ticket of it was handed out last. Apart from the other queues' turns: counted together they may go in step,
   *  and a task is left out for as long as they do. */
  given: number;
  /** What its limits allow; undefined = it has none. */
  gate: Gate | undefined;
}

export class Dispatcher implements LaneEvents {
  readonly #lines = new Map<LaneView, Line>();
  readonly #byKey = new Map<LaneKey, Line>();
  /** Highest priority first; lines of one priority take turns. */
  #ordered: Line[] = [];
  readonly #takers = new Set<Taker>();
  readonly #served = new Map<Taker, Map<string, number>>();
  /** How many tickets wait, by job id: asked for each ticket that is looked into, with thousands waiting. */
  readonly #buffered = new Map<string, number>();
  #paused: ReadonlySet<string> = new Set();
  #gateOf: ((lane: LaneKey) => Gate | undefined) | undefined;
  #scheduled = false;
  #stopped = false;
  #turn = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(
    readonly lanes: Lanes,
    /** Gives a ticket back that nobody took in time. */
    readonly giveBack: (ticket: Ticket) => void,
    /** Looks at a ticket that may not run as it is; calls `accept` when it may after all. */
    readonly examine: (ticket: Ticket) => Promise<void>,
    readonly run: Pick<RunTimes, "buffered"> = times,
    /** ms, this machine's clock. */
    readonly now: () => number = Date.now,
  ) {
    this.#timer = setInterval(() => this.expire(), 500);
    this.#timer.unref();
  }

  add(taker: Taker): void {
    this.#takers.add(taker);
    this.#served.set(taker, new Map());
    this.#match();
    this.soon();
  }

  remove(taker: Taker): void {
    if (!this.#takers.delete(taker)) return;
    this.#served.delete(taker);
    this.#match();
    this.soon();
  }

  /** Which queues rest. What is buffered of them goes back. */
  pause(queues: ReadonlySet<string>): void {
    this.#paused = queues;
    for (const line of this.#lines.values()) {
      if (!queues.has(line.lane.key.queue)) continue;
      for (const { ticket } of line.waiting.splice(0)) this.#giveBack(ticket);
    }
    this.soon();
  }

  /** Which lanes are limited, and how; undefined = none is. */
  limit(gateOf: ((lane: LaneKey) => Gate | undefined) | undefined): void {
    this.#gateOf = gateOf;
    for (const line of this.#lines.values()) line.gate = gateOf?.(line.lane.key);
    this.soon();
  }

  /** Ready jobs that a worker here would take, were it not for a limit; by lane. */
  *heldBack(): Generator<{ key: LaneKey; jobs: number }> {
    for (const { lane, waiting, takers, gate } of this.#ordered) {
      if (gate === undefined || this.#paused.has(lane.key.queue)) continue;
      const wanted = takers.some((taker) => taker.active && taker.freeFor(lane.key.task) > 0);
      const jobs = lane.pending + waiting.length;
      yield { key: lane.key, jobs: wanted && !gate.open ? jobs : 0 };
    }
  }

  /** Nothing is handed out from now on; what is buffered goes back. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const line of this.#lines.values()) this.lanes.probe(line.lane, false);
    this.#giveBackSince(Number.POSITIVE_INFINITY);
  }

  delivered(ticket: Ticket): void {
    if (ticket.trusted && ticket.stored !== undefined && ticket.corrupt === undefined) this.accept(ticket);
    else void this.#examine(ticket);
  }

  moved(lane: LaneView): void {
    if (!this.#lines.has(lane)) this.#match();
    this.soon();
  }

  async #examine(ticket: Ticket): Promise<void> {
    const line = this.#lineOf(ticket);
    if (line !== undefined) line.examined++;
    await this.examine(ticket);
    if (line !== undefined) line.examined--;
    this.soon();
  }

  /** A ticket that may run. */
  accept(ticket: Ticket): void {
    const line = this.#lineOf(ticket);
    if (line === undefined || this.#stopped || this.#paused.has(ticket.lane.queue)) {
      this.giveBack(ticket);
      return;
    }
    line.waiting.push({ ticket, since: this.now() });
    this.#count(ticket, 1);
    this.soon();
  }

  /** What has waited for too long goes back. */
  expire(): void {
    this.#giveBackSince(this.now() - this.run.buffered);
  }

  /** Whether a ticket of this job waits here. */
  isBuffered(id: string): boolean {
    return this.#buffered.has(id);
  }

  /** Takes a job's ticket out of the buffer; with `seq` only that one. */
  discard(id: string, seq?: number): Ticket | undefined {
    const found = this.isBuffered(id) ? this.#find(id) : undefined;
    if (found === undefined || (seq !== undefined && found.ticket.seq !== seq)) return undefined;
    found.line.waiting.splice(found.index, 1);
    this.#count(found.ticket, -1);
    return found.ticket;
  }

  /** Who here takes jobs of a task from a queue, how many of them could take one now, and which of `rivals` they take as
   *  well. */
  serving(task: string, queue: string, rivals: readonly string[]) {
    const takers = [...this.#takers].filter(
      (taker) => taker.active && taker.queues.has(queue) && taker.serves(task),
    );
    return {
      serving: takers.length,
      free: takers.filter((taker) => taker.freeFor(task) > 0).length,
      rivals: rivals.filter((rival) => takers.some((taker) => taker.serves(rival))),
    };
  }

  /** Something changed: plan anew after this round of IO. */
  soon(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#stopped) return;
      this.#assign();
      this.#plan();
    });
  }

  #find(id: string): { line: Line; index: number; ticket: Ticket } | undefined {
    for (const line of this.#lines.values()) {
      const index = line.waiting.findIndex(({ ticket }) => jobId(ticket.ref) === id);
      const entry = line.waiting[index];
      if (entry !== undefined) return { line, index, ticket: entry.ticket };
    }
    return undefined;
  }

  #count(ticket: Ticket, by: 1 | -1): void {
    const id = jobId(ticket.ref);
    const count = (this.#buffered.get(id) ?? 0) + by;
    if (count > 0) this.#buffered.set(id, count);
    else this.#buffered.delete(id);
  }

  /** A ticket that waited here. */
  #giveBack(ticket: Ticket): void {
    this.#count(ticket, -1);
    this.giveBack(ticket);
  }

  #lineOf(ticket: Ticket): Line | undefined {
    const line = this.#byKey.get(ticket.lane);
    if (line !== undefined) return line;
    this.#match();
    return this.#byKey.get(ticket.lane);
  }

  /** Which takers serve which lanes: worked out when either changes, not for every ticket. */
  #match(): void {
    const lanes = this.lanes.all();
    const known = new Set(lanes);
    for (const [lane, line] of this.#lines) {
      if (known.has(lane)) continue;
      this.#lines.delete(lane);
      this.#byKey.delete(lane.key);
      for (const { ticket } of line.waiting) this.#giveBack(ticket);
    }
    for (const lane of lanes) {
      let line = this.#lines.get(lane);
      if (line === undefined) {
        line = {
          lane,
          waiting: [],
          examined: 0,
          takers: [],
          turn: 0,
          given: 0,
          gate: this.#gateOf?.(lane.key),
        };
        this.#lines.set(lane, line);
        this.#byKey.set(lane.key, line);
      }
      const { task, queue } = lane.key;
      line.takers = [...this.#takers].filter((taker) => taker.queues.has(queue) && taker.serves(task));
    }
    this.#ordered = [...this.#lines.values()];
    this.#order();
  }

  #order(): void {
    this.#ordered.sort((a, b) => b.lane.key.priority - a.lane.key.priority || a.turn - b.turn);
  }

  /** Hands out what is buffered, one ticket a taker and turn, until there is no credit or no ticket left. */
  #assign(): void {
    const laden = byQueue(this.#ordered, ({ waiting }) => waiting.length > 0);
    if (laden.size === 0) return;
    const coming = byQueue(this.#ordered, isComing);
    const hungry = new Set(this.#takers);
    const fed = new Set<Taker>();
    while (hungry.size > 0) {
      for (const taker of hungry) {
        const line = this.#pick(taker, laden, coming);
        const entry = line?.waiting.shift();
        if (entry === undefined) {
          hungry.delete(taker);
          continue;
        }
        this.#count(entry.ticket, -1);
        line?.gate?.passed();
        taker.take(entry.ticket);
        fed.add(taker);
      }
    }
    for (const taker of fed) taker.flush();
  }

  /** The line that a taker is to be served from: its queue by weight, there the highest priority, there in turn. Asked
   *  for every ticket: nothing is made here. `laden`: lines by their queue, highest priority first. */
  #pick(
    taker: Taker,
    laden: ReadonlyMap<string, readonly Line[]>,
    coming: ReadonlyMap<string, readonly Line[]>,
  ): Line | undefined {
    if (taker.free() <= 0) return undefined;
    const served = this.#served.get(taker);
    let next: Line | undefined;
    let least = Number.POSITIVE_INFINITY;
    let open = 0;
    for (const [queue, weight] of taker.queues) {
      const ahead = coming.get(queue);
      const line = firstFor(taker, laden.get(queue), ahead);
      // A queue whose tickets are only on their way has its turn as well: what is here of another one waits for them.
      const turns = line !== undefined || (!this.#paused.has(queue) && isPreceded(taker, anyPriority, ahead));
      if (!turns) continue;
      open++;
      const share = (served?.get(queue) ?? 0) / weight;
      if (share >= least) continue;
      least = share;
      next = line;
    }
    if (next === undefined) return undefined;
    const { queue } = next.lane.key;
    // Only the difference counts: a queue that was empty for an hour is owed no more than one that was not.
    if (open === 1) served?.clear();
    else served?.set(queue, (served.get(queue) ?? 0) + 1);
    next.given = ++this.#turn;
    return next;
  }

  /** Pulls as much as there is credit for, highest lanes first, and keeps a request open where nothing is known. */
  #plan(): void {
    const budgets = this.#budgets();
    const demands = this.#gateOf === undefined ? undefined : demandsOf(this.#ordered);
    let pulled = false;
    for (const line of this.#ordered) {
      const { lane } = line;
      const { task, queue } = lane.key;
      const rests = this.#paused.has(queue);
      const wanted = !rests && line.takers.some((taker) => taker.active);
      const demand = line.gate && demands?.get(line.gate);
      const shut = demand !== undefined && line.gate?.shut === true;
      this.lanes.probe(lane, wanted && lane.pending === 0 && line.waiting.length === 0 && !shut);
      if (!wanted) continue;
      // What is here or on its way already has its takers.
      let spoken = line.waiting.length + line.examined + lane.pulling;
      let room = 0;
      let allowed = demand === undefined ? mostPulled : Math.min(mostPulled, demand.room);
      for (const taker of line.takers) {
        const budget = budgets.get(taker)?.get(queue);
        if (budget === undefined) continue;
        let share = Math.min(budget.left, taker.freeFor(task));
        const taken = Math.min(share, spoken);
        spoken -= taken;
        share -= taken;
        budget.left -= taken;
        let more = Math.min(share, lane.pending - lane.pulling - room, mostPulled - room);
        if (more <= 0) continue;
        if (demand !== undefined) {
          demand.wanted += more;
          more = Math.min(more, allowed);
          allowed -= more;
          demand.room -= more;
        }
        room += more;
        budget.left -= more;
      }
      if (room <= 0) continue;
      this.lanes.pull(lane, room);
      line.turn = ++this.#turn;
      pulled = true;
    }
    if (pulled) this.#order();
    if (demands !== undefined) for (const [gate, { wanted }] of demands) gate.want(wanted);
  }

  /** What each taker may still be given, per queue: all of it where one queue has work, by weight where several do. */
  #budgets(): Map<Taker, Map<string, { left: number }>> {
    const budgets = new Map<Taker, Map<string, { left: number }>>();
    for (const taker of this.#takers) {
      const free = taker.free();
      const busy = new Set<string>();
      for (const line of this.#ordered) {
        const open =
          line.waiting.length > 0 ||
          line.lane.pulling > 0 ||
          (line.lane.pending > 0 && line.gate?.shut !== true);
        if (open && line.takers.includes(taker) && !this.#paused.has(line.lane.key.queue)) {
          busy.add(line.lane.key.queue);
        }
      }
      const total = [...busy].reduce((sum, queue) => sum + (taker.queues.get(queue) ?? 1), 0);
      const shares = new Map<string, { left: number }>();
      for (const queue of busy) {
        const share = Math.ceil((free * (taker.queues.get(queue) ?? 1)) / total);
        shares.set(queue, { left: share });
      }
      budgets.set(taker, shares);
    }
    return budgets;
  }

  /** Gives back what came at `latest` or before. */
  #giveBackSince(latest: number): void {
    for (const line of this.#lines.values()) {
      while ((line.waiting[0]?.since ?? Number.POSITIVE_INFINITY) <= latest) {
        const entry = line.waiting.shift();
        if (entry === undefined) break;
        this.#giveBack(entry.ticket);
        // There is at least this one again: no need to ask until there is credit for it.
        line.lane.pending = Math.max(1, line.lane.pending);
      }
    }
  }
}

/** Of a queue's lines the one that a taker is to be served from; undefined also where a ticket of a higher priority is on
 *  its way. */
function firstFor(
  taker: Taker,
  lines: readonly Line[] | undefined,
  coming: readonly Line[] | undefined,
): Line | undefined {
  if (lines === undefined) return undefined;
  let first: Line | undefined;
  for (const line of lines) {
    const { priority, task } = line.lane.key;
    if (first !== undefined && priority < first.lane.key.priority) break;
    if (line.waiting.length === 0 || line.gate?.open === false) continue;
    if (!line.takers.includes(taker) || taker.freeFor(task) <= 0) continue;
    if (first === undefined || line.given < first.given) first = line;
  }
  return first !== undefined && isPreceded(taker, first.lane.key.priority, coming) ? undefined : first;
}

/** Of each gate: what wants to pass it, and how many more tickets may be fetched for it. */
function demandsOf(lines: readonly Line[]): Map<Gate, { wanted: number; room: number }> {
  const demands = new Map<Gate, { wanted: number; room: number }>();
  for (const { gate, waiting, examined, lane } of lines) {
    if (gate === undefined) continue;
    let demand = demands.get(gate);
    if (demand === undefined) {
      demand = { wanted: 0, room: gate.room() };
      demands.set(gate, demand);
    }
    const here = waiting.length + examined + lane.pulling;
    demand.wanted += here;
    demand.room -= here;
  }
  return demands;
}
