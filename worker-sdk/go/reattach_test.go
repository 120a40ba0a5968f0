package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

func TestAnOutcomeIsKeptUntilItIsSettled(t *testing.T) {
	inSession(t, Config{}, func(b *bench, _, other gate) {
		b.w.ledger.take([]*droverv1.Lease{lease(1, "b"), lease(2, "b"), lease(3, "b"), lease(4, "b")})
		other.open(3)
		synctest.Wait()
		messages, _, _ := b.w.ledger.outgoing(true)
		sent := messages[0].GetOutcomes().GetOutcomes()
		recorded, refused := sent[0].GetLeaseId(), sent[1].GetLeaseId()
		b.w.ledger.settle(&droverv1.Settled{
			Recorded: []uint64{recorded},
			Refused:  []*droverv1.RefusedOutcome{{LeaseId: refused, Error: &droverv1.ItemStatus{Reason: "LEASE_LOST"}}},
		})
		b.w.ledger.detached()
		other.open(1) // ends between two sessions
		synctest.Wait()

		held, credit := b.w.ledger.attach()
		if len(held) != 2 || credit != 10 {
			t.Fatalf("held %v, credit %d", held, credit)
		}
		var names []*droverv1.HeldLease
		for i, token := range held {
			names = append(names, &droverv1.HeldLease{Token: token, LeaseId: uint64(100 + i)})
		}
		b.w.ledger.attached(&droverv1.Attached{Held: names}, credit)
		b.want(b.up(), "100:success null, 101:success null")
		b.settle(100, 101)
		if n := b.w.ledger.unsettled(); n != 0 {
			t.Errorf("%d still held", n)
		}
	})
}

func TestALeaseThatANewSessionDoesNotHoldIsLost(t *testing.T) {
	for _, test := range []struct {
		rule   string
		answer *droverv1.Attached
	}{
		{"when the broker says so", &droverv1.Attached{Lost: []string{"bb"}}},
		{"when the broker does not speak of it", &droverv1.Attached{}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			inSession(t, Config{}, func(b *bench, _, _ gate) {
				b.w.ledger.take([]*droverv1.Lease{lease(1, "b")})
				b.wantRunning(1)
				b.w.ledger.detached()
				_, credit := b.w.ledger.attach()
				b.w.ledger.attached(test.answer, credit)
				b.wantRunning(0)
				b.want(b.up(), "")
				if n := b.w.ledger.unsettled(); n != 0 {
					t.Errorf("%d still held", n)
				}
			})
		})
	}
}

func TestACancellationDuringAnOutageReachesTheHandler(t *testing.T) {
	inSession(t, Config{}, func(b *bench, _, _ gate) {
		b.w.ledger.take([]*droverv1.Lease{lease(1, "b")})
		b.wantRunning(1)
		b.w.ledger.detached()
		b.w.ledger.attached(&droverv1.Attached{Held: []*droverv1.HeldLease{{Token: "bb", LeaseId: 9, CancelRequested: true}}}, 10)
		b.want(b.up(), "9:cancelled")
	})
}

func TestADrainingWorkerGivesBackWhatHasNotBegun(t *testing.T) {
	inSession(t, Config{Concurrency: 1}, func(b *bench, _, other gate) {
		b.w.ledger.take([]*droverv1.Lease{lease(1, "b"), lease(2, "b")})
		b.wantRunning(1)
		b.w.ledger.drain()
		b.want(b.up(), "credit 0; drain; 2:release")
		b.w.ledger.take([]*droverv1.Lease{lease(3, "b")}) // sent before the broker knew
		other.open(1)
		b.want(b.up(), "1:success null, 3:release")
		b.settle(1, 2, 3)
		if _, _, done := b.w.ledger.outgoing(false); !done {
			t.Error("not done")
		}
	})
}

func TestADrainingWorkerSaysSoInEachSession(t *testing.T) {
	inSession(t, Config{}, func(b *bench, _, _ gate) {
		b.w.ledger.drain()
		b.want(b.up(), "credit 0; drain")
		b.w.ledger.detached()
		_, credit := b.w.ledger.attach()
		b.w.ledger.attached(&droverv1.Attached{}, credit)
		b.want(b.up(), "drain")
	})
}

func TestDrainingEndsHandlersThatTakeTooLong(t *testing.T) {
	for _, test := range []struct {
		rule string
		slow time.Duration
		deaf bool
		want string
		took time.Duration
	}{
		{"a handler may finish in the drain timeout", 10 * time.Second, true, "1:success null", 10 * time.Second},
		{"a handler that heeds its context gives the job back", time.Hour, false, "1:release", 20 * time.Second},
		{"a handler that does not loses the job", time.Hour, true, "1:release", 21 * time.Second},
	} {
		t.Run(test.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Config{}, on("a", func(ctx context.Context) error {
					if test.deaf {
						ctx = context.Background()
					}
					select {
					case <-time.After(test.slow):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}))
				b.w.ledger.take([]*droverv1.Lease{lease(1, "a")})
				synctest.Wait()
				began := time.Now()
				b.w.drain()
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				b.want(b.up(), "credit 0; drain; "+test.want)
				time.Sleep(test.slow) // no handler may outlive the test
			})
		})
	}
}
