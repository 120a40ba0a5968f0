package worker

// The ledger is what outlives a session: the leases this worker holds, the slots its handlers take, and the outcomes
// that no broker has settled yet. A lease leaves it only when its outcome is settled or the lease is lost; that is what
// carries an outcome over a broken connection. Nothing here knows gRPC streams or reads a clock.

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// slots is how many handlers run at a time, and how many jobs are held beyond that.
type slots struct{ running, ahead int }

type ledger struct {
	tasks map[string]*task
	slots slots
	log   *slog.Logger
	// What handlers' contexts are made from.
	base context.Context
	// Runs a leased job in a goroutine of its own; it ends in finish.
	execute func(*run, *droverv1.Payload)

	mu sync.Mutex
	// By token: everything that a broker counts as this worker's, waiting, running or unsettled.
	held map[string]*run
	// Leased beyond the free slots: held ahead, or sent before the broker knew of the slots that overrun handlers keep.
	waiting []*run
	// Slots taken, in all and by task, and how many of them by handlers whose attempt is over.
	busy    int
	busyOf  map[*task]int
	overrun int
	outbox  outbox
	// Set once the worker is to stop.
	draining bool
	// Closed when no handler runs that could still report; made by drain.
	idle chan struct{}
	// Closed when nothing is held any more; made by drain.
	empty chan struct{}
}

func newLedger(base context.Context, tasks map[string]*task, slots slots, log *slog.Logger,
	execute func(*run, *droverv1.Payload),
) *ledger {
	l := &ledger{
		tasks:   tasks,
		slots:   slots,
		log:     log,
		base:    base,
		execute: execute,
		held:    map[string]*run{},
		busyOf:  map[*task]int{},
		idle:    make(chan struct{}),
		empty:   make(chan struct{}),
	}
	l.outbox = newOutbox()
	l.outbox.credit = l.credit()
	return l
}

// take begins leased jobs, as far as there are slots.
func (l *ledger) take(leases []*droverv1.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lease := range leases {
		if r := l.held[lease.GetToken()]; r != nil {
			l.outbox.name(r, lease.GetLeaseId())
			continue
		}
		r := &run{lease: lease, task: l.tasks[lease.GetTask()]}
		r.ctx, r.cancel = context.WithCancelCause(l.base)
		l.held[lease.GetToken()] = r
		l.outbox.name(r, lease.GetLeaseId())
		switch {
		case l.draining:
			l.conclude(r, released())
		case r.task == nil:
			l.conclude(r, failed(&droverv1.FailureReport{
				Reason:  droverv1.FailureReason_FAILURE_REASON_ERROR,
				Type:    "UnknownTask",
				Message: "this worker registered no handler for " + lease.GetTask(),
			}))
		default:
			l.waiting = append(l.waiting, r)
		}
	}
	l.fill()
}

// fill gives free slots to waiting leases, in the order they came; a task at its own bound lets others pass.
func (l *ledger) fill() {
	if len(l.waiting) == 0 {
		return
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(r *run) bool {
		bound := r.task.concurrency
		if l.busy >= l.slots.running || bound > 0 && l.busyOf[r.task] >= bound {
			return false
		}
		r.busy = true
		l.busy++
		l.busyOf[r.task]++
		go l.execute(r, r.lease.GetPayload())
		// From here on the handler's alone: an outcome may have to wait long for a broker.
		r.lease.Payload = nil
		return true
	})
}

// finish frees the slot of a handler that ended. False: the attempt was over before, and the outcome does not count.
func (l *ledger) finish(r *run, outcome *droverv1.Outcome) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := !r.over
	r.busy = false
	l.busy--
	l.busyOf[r.task]--
	if counts {
		l.conclude(r, outcome)
	} else {
		l.overrun--
		l.outbox.announce(l.credit())
	}
	l.fill()
	l.stopped()
	return counts
}

// giveUp reports an outcome for a handler that still runs. Its slot stays taken until it ends. False: it has an outcome.
func (l *ledger) giveUp(r *run, outcome *droverv1.Outcome) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.over {
		return false
	}
	l.conclude(r, outcome)
	l.stopped()
	return true
}

// conclude ends the attempt with an outcome to be reported.
func (l *ledger) conclude(r *run, outcome *droverv1.Outcome) {
	l.end(r)
	r.outcome = outcome
	l.outbox.post(r)
}

// abandon ends the attempt with nothing to report.
func (l *ledger) abandon(r *run, cause error) {
	if r.over {
		l.drop(r)
		return
	}
	l.end(r)
	l.unqueue(r)
	l.drop(r)
	r.cancel(cause)
	l.log.Warn("task_abandoned", "job_id", r.lease.GetJobId(), "task", r.lease.GetTask(),
		"attempt", r.lease.GetAttempt(), "cause", cause.Error())
}

func (l *ledger) unqueue(r *run) {
	l.waiting = slices.DeleteFunc(l.waiting, func(w *run) bool { return w == r })
}

func (l *ledger) end(r *run) {
	r.over = true
	if r.busy {
		l.overrun++
		l.outbox.announce(l.credit())
	}
}

func (l *ledger) drop(r *run) {
	delete(l.held, r.lease.GetToken())
	l.outbox.forget(r)
	l.stopped()
}

// settle forgets the leases whose outcomes a broker has dealt with.
func (l *ledger) settle(settled *droverv1.Settled) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range settled.GetRecorded() {
		if r := l.outbox.named[id]; r != nil {
			l.drop(r)
		}
	}
	for _, refused := range settled.GetRefused() {
		r := l.outbox.named[refused.GetLeaseId()]
		if r == nil {
			r = l.held[refused.GetToken()]
		}
		if r == nil {
			continue
		}
		l.log.Warn("outcome_refused", "job_id", r.lease.GetJobId(), "task", r.lease.GetTask(),
			"attempt", r.lease.GetAttempt(), "reason", refused.GetError().GetReason(), "error", refused.GetError().GetMessage())
		l.abandon(r, ErrLeaseLost)
	}
}

// interrupt ends runs as the broker asks.
func (l *ledger) interrupt(leases []*droverv1.CancelledLease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lease := range leases {
		r := l.outbox.named[lease.GetLeaseId()]
		if r == nil {
			continue
		}
		switch lease.GetReason() {
		case droverv1.CancelReason_CANCEL_REASON_TIME_LIMIT:
			l.abandon(r, ErrTimeLimit)
		case droverv1.CancelReason_CANCEL_REASON_LEASE_LOST:
			l.abandon(r, ErrLeaseLost)
		default:
			l.request(r)
		}
	}
	l.fill()
}

// request passes the wish for a cancellation on to the handler; what has not begun is cancelled outright.
func (l *ledger) request(r *run) {
	if r.over {
		return
	}
	r.cancelRequested.Store(true)
	r.cancel(ErrCancelled)
	if !r.busy {
		l.unqueue(r)
		l.conclude(r, cancelled())
	}
}

// credit is how many jobs this worker can hold: overrun handlers keep their slots, though the broker has done with them.
func (l *ledger) credit() int {
	if l.draining {
		return 0
	}
	return max(0, l.slots.running+l.slots.ahead-l.overrun)
}

func (l *ledger) progress(r *run, progress *droverv1.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.over {
		l.outbox.postProgress(r, progress)
	}
}

func (l *ledger) ping() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outbox.pongs++
	l.outbox.signal()
}

// outgoing is the outbox's take. done: the worker stops, the broker knows, and nothing is held any more.
func (l *ledger) outgoing(gathered bool) (messages []*droverv1.WorkRequest, again, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	messages, again = l.outbox.take(gathered)
	return messages, again, l.draining && l.outbox.drainTold && len(l.held) == 0
}
