package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// summary of messages, parts in order.
func summary(messages []*droverv1.WorkRequest) string {
	var parts []string
	for _, message := range messages {
		switch message := message.GetMessage().(type) {
		case *droverv1.WorkRequest_Credit:
			parts = append(parts, fmt.Sprint("credit ", message.Credit.GetJobs()))
		case *droverv1.WorkRequest_Pong:
			parts = append(parts, "pong")
		case *droverv1.WorkRequest_Drain:
			parts = append(parts, "drain")
		case *droverv1.WorkRequest_Progress:
			for _, report := range message.Progress.GetReports() {
				parts = append(parts, fmt.Sprintf("%d:at %v", report.GetLeaseId(), report.GetProgress().GetValue()))
			}
		case *droverv1.WorkRequest_Outcomes:
			var outcomes []string
			for _, outcome := range message.Outcomes.GetOutcomes() {
				outcomes = append(outcomes, fmt.Sprintf("%d:%s", outcome.GetLeaseId(), told(outcome)))
			}
			slices.Sort(outcomes) // handlers that end together end in any order
			parts = append(parts, strings.Join(outcomes, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// gate is a handler that runs until it is opened, for as many jobs as it is opened for.
type gate chan error

func (g gate) handle(task string, options ...TaskOption) func(*Worker) {
	return on(task, func(ctx context.Context) error {
		select {
		case err := <-g:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, options...)
}

func (g gate) open(times int) {
	for range times {
		g <- nil
	}
}

// inSession runs a test on a worker that a broker has just taken in, with tasks a and b behind a gate each.
func inSession(t *testing.T, config Config, body func(b *bench, a, other gate)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		first, other := make(gate), make(gate)
		b := newBench(t, config, first.handle("a", MaxConcurrent(2)), other.handle("b"))
		body(b, first, other)
		synctest.Wait()
		b.w.ledger.stop() // no handler may outlive the test
	})
}

func (b *bench) running() int {
	synctest.Wait()
	b.w.ledger.mu.Lock()
	defer b.w.ledger.mu.Unlock()
	return b.w.ledger.busy
}

func (b *bench) wantRunning(want int) {
	b.t.Helper()
	if got := b.running(); got != want {
		b.t.Errorf("%d handlers run, want %d", got, want)
	}
}

func TestNoMoreHandlersRunThanThereAreSlots(t *testing.T) {
	inSession(t, Config{Concurrency: 2}, func(b *bench, _, other gate) {
		b.w.ledger.take([]*droverv1.Lease{lease(1, "b"), lease(2, "b"), lease(3, "b")})
		b.wantRunning(2)
		other.open(1)
		b.wantRunning(2)
		other.open(2)
		b.wantRunning(0)
	})
}

func TestJobsHeldAheadWaitForASlot(t *testing.T) {
	inSession(t, Config{Concurrency: 1, Prefetch: 1}, func(b *bench, _, other gate) {
		if _, credit := b.w.ledger.attach(); credit != 2 {
			t.Errorf("credit %d", credit)
		}
		b.w.ledger.take([]*droverv1.Lease{lease(1, "b"), lease(2, "b")})
		b.wantRunning(1)
		other.open(1)
		b.wantRunning(1)
		b.want(b.up(), "1:success null")
	})
}

func TestATaskAtItsBoundLetsOthersPass(t *testing.T) {
	inSession(t, Config{Concurrency: 4}, func(b *bench, a, _ gate) {
		b.w.ledger.take([]*droverv1.Lease{lease(1, "a"), lease(2, "a"), lease(3, "a"), lease(4, "b")})
		b.wantRunning(3)
		a.open(1)
		b.wantRunning(3)
	})
}

func TestOutcomesThatComeTogetherGoTogether(t *testing.T) {
	inSession(t, Config{}, func(b *bench, _, other gate) {
		b.w.ledger.take([]*droverv1.Lease{lease(1, "b"), lease(2, "b"), lease(3, "b")})
		other.open(3)
		b.want(b.up(), "1:success null, 2:success null, 3:success null")
		b.want(b.up(), "")
	})
}

func TestOverrunHandlersAreTakenOffTheCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stubborn := make(chan struct{})
		b := newBench(t, Config{Concurrency: 3}, on("a", func(context.Context) error { <-stubborn; return nil }))
		b.w.ledger.take([]*droverv1.Lease{lease(1, "a"), lease(2, "a"), lease(3, "a")})
		synctest.Wait()
		b.w.ledger.interrupt([]*droverv1.CancelledLease{
			{LeaseId: 1, Reason: droverv1.CancelReason_CANCEL_REASON_LEASE_LOST},
			{LeaseId: 2, Reason: droverv1.CancelReason_CANCEL_REASON_TIME_LIMIT},
		})
		b.want(b.up(), "credit 1")
		b.w.ledger.take([]*droverv1.Lease{lease(4, "a")}) // sent before the broker knew
		b.wantRunning(3)
		close(stubborn)
		b.want(b.up(), "credit 3; 3:success null, 4:success null")
	})
}

func TestATaskNobodyHandlesIsAFailure(t *testing.T) {
	inSession(t, Config{}, func(b *bench, _, _ gate) {
		b.w.ledger.take([]*droverv1.Lease{lease(1, "other")})
		b.want(b.up(), "1:ERROR")
	})
}

func TestALeaseThatComesTwiceRunsOnce(t *testing.T) {
	inSession(t, Config{}, func(b *bench, _, other gate) {
		again := lease(1, "b")
		again.LeaseId = 7
		b.w.ledger.take([]*droverv1.Lease{lease(1, "b"), again})
		b.wantRunning(1)
		other.open(1)
		b.want(b.up(), "7:success null")
	})
}

func TestRefusedOutcomesEndARunThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		b := newBench(t, Config{}, on("a", func(ctx context.Context) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil
		}))
		b.w.ledger.take([]*droverv1.Lease{lease(1, "a")})
		synctest.Wait()
		b.w.ledger.settle(&droverv1.Settled{Refused: []*droverv1.RefusedOutcome{{LeaseId: 1}}})
		b.want(b.up(), "")
		if !errors.Is(cause, ErrLeaseLost) {
			t.Errorf("cause is %v", cause)
		}
	})
}
