package worker

// The ledger's part in the beginning and the end of sessions.

import (
	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// attach lists what is to be held on to in a new session, and the credit it begins with.
func (l *ledger) attach() (held []string, credit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held = make([]string, 0, len(l.held))
	for token := range l.held {
		held = append(held, token)
	}
	return held, l.credit()
}

// attached takes over the names that a new session has for the leases, ends the runs whose leases are lost, and posts
// the outcomes again that no earlier session settled. credit is what the session was opened with.
func (l *ledger) attached(answer *droverv1.Attached, credit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outbox.open(credit)
	for _, held := range answer.GetHeld() {
		r := l.held[held.GetToken()]
		if r == nil {
			continue
		}
		l.outbox.name(r, held.GetLeaseId())
		if r.outcome != nil {
			l.outbox.post(r)
		}
		if held.GetCancelRequested() {
			l.request(r)
		}
	}
	// What the answer does not name is as good as lost: no outcome could ever be settled for it.
	for _, r := range l.held {
		if r.id == 0 {
			l.abandon(r, ErrLeaseLost)
		}
	}
	l.outbox.announce(l.credit())
	l.fill()
}

// detached ends the session for the ledger; runs and outcomes stay.
func (l *ledger) detached() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outbox.close()
	for _, r := range l.held {
		r.id, r.flight = 0, nil
	}
}

// drain takes no more jobs: what has not begun is given back.
func (l *ledger) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	for _, r := range l.waiting {
		l.conclude(r, released())
	}
	l.waiting = nil
	l.outbox.announce(l.credit())
	l.outbox.drain = true
	l.outbox.signal()
	l.stopped()
}

// stop tells every running handler that the worker stops.
func (l *ledger) stop() {
	for _, r := range l.running() {
		r.cancel(ErrStopping)
	}
}

// running lists the handlers that run and can still report.
func (l *ledger) running() []*run {
	l.mu.Lock()
	defer l.mu.Unlock()
	var runs []*run
	for _, r := range l.held {
		if r.busy && !r.over {
			runs = append(runs, r)
		}
	}
	return runs
}

// unsettled counts what is held.
func (l *ledger) unsettled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// stopped closes idle and empty once they hold, while draining.
func (l *ledger) stopped() {
	if !l.draining {
		return
	}
	if l.busy == l.overrun {
		closeOnce(l.idle)
	}
	if len(l.held) == 0 {
		closeOnce(l.empty)
		l.outbox.signal()
	}
}

func closeOnce(done chan struct{}) {
	select {
	case <-done:
	default:
		close(done)
	}
}
