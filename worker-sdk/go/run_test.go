package worker

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// bench runs handlers as a session would have them run, with the messages that would go up as its output.
type bench struct {
	t *testing.T
	w *Worker
}

func newBench(t *testing.T, config Config, handlers ...func(*Worker)) *bench {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	w := New(config)
	for _, handle := range handlers {
		handle(w)
	}
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	w.log = config.Logger
	w.ledger = newLedger(context.Background(), w.tasks, slots{w.config.Concurrency, w.config.Prefetch}, w.log, w.execute)
	_, credit := w.ledger.attach()
	w.ledger.attached(&droverv1.Attached{}, credit)
	return &bench{t, w}
}

// on registers a handler without arguments and result.
func on(task string, handler func(context.Context) error, options ...TaskOption) func(*Worker) {
	return func(w *Worker) {
		Handle(w, task, func(ctx context.Context, _ any) (any, error) { return nil, handler(ctx) }, options...)
	}
}

func lease(id uint64, task string) *droverv1.Lease {
	token := task + string(rune('a'+id))
	return &droverv1.Lease{LeaseId: id, Token: token, JobId: task + "~" + token, Task: task, Attempt: 1}
}

// up waits until nothing moves any more and sums up what goes up, one word or two for each part.
func (b *bench) up() string {
	synctest.Wait()
	messages, _, _ := b.w.ledger.outgoing(true)
	return summary(messages)
}

func (b *bench) settle(ids ...uint64) { b.w.ledger.settle(&droverv1.Settled{Recorded: ids}) }

func (b *bench) want(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("went up: %q, want %q", got, want)
	}
}

func TestAHandlersEndGoesUp(t *testing.T) {
	for _, test := range []struct {
		rule    string
		handler func(context.Context) error
		want    string
		stack   string
	}{
		{"a return", func(context.Context) error { return nil }, "1:success null", ""},
		{"an error", func(context.Context) error { return errors.New("no") }, "1:ERROR", ""},
		{"a panic, with its stack", func(context.Context) error { panic("oops") }, "1:ERROR", "TestAHandlersEndGoesUp"},
		{"runtime.Goexit", func(context.Context) error { runtime.Goexit(); return nil }, "1:ERROR", ""},
	} {
		t.Run(test.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Config{}, on("a", test.handler))
				b.w.ledger.take([]*droverv1.Lease{lease(1, "a")})
				synctest.Wait()
				messages, _, _ := b.w.ledger.outgoing(true)
				b.want(summary(messages), test.want)
				stack := messages[0].GetOutcomes().GetOutcomes()[0].GetFailure().GetStack()
				if !strings.Contains(stack, test.stack) || len(stack) > maxErrorStack {
					t.Errorf("stack: %s", stack)
				}
			})
		})
	}
}

func TestTheContextSaysWhyItEnded(t *testing.T) {
	for _, test := range []struct {
		rule string
		end  func(*bench)
		want error
		up   string
	}{
		{"when the job was cancelled", func(b *bench) { b.interrupt(droverv1.CancelReason_CANCEL_REASON_REQUESTED) },
			ErrCancelled, "1:cancelled"},
		{"when the broker ended the attempt", func(b *bench) { b.interrupt(droverv1.CancelReason_CANCEL_REASON_TIME_LIMIT) },
			ErrTimeLimit, ""},
		{"when the lease was lost", func(b *bench) { b.interrupt(droverv1.CancelReason_CANCEL_REASON_LEASE_LOST) },
			ErrLeaseLost, ""},
		{"for a reason of a later broker, as a cancellation", func(b *bench) { b.interrupt(99) }, ErrCancelled, "1:cancelled"},
		{"when the worker stops", func(b *bench) { b.w.ledger.stop() }, ErrStopping, "1:release"},
		{"at the soft limit", func(*bench) { time.Sleep(time.Minute) }, ErrSoftTimeLimit, "1:ERROR"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cause error
				b := newBench(t, Config{}, on("a", func(ctx context.Context) error {
					<-ctx.Done()
					cause = context.Cause(ctx)
					return ctx.Err()
				}))
				limited := lease(1, "a")
				limited.SoftTimeLimit = durationpb.New(time.Minute)
				limited.HardTimeLimit = durationpb.New(2 * time.Minute)
				b.w.ledger.take([]*droverv1.Lease{limited})
				synctest.Wait()
				test.end(b)
				b.want(b.up(), test.up)
				if !errors.Is(cause, test.want) {
					t.Errorf("cause is %v, want %v", cause, test.want)
				}
			})
		})
	}
}

func (b *bench) interrupt(reason droverv1.CancelReason) {
	b.w.ledger.interrupt([]*droverv1.CancelledLease{{LeaseId: 1, Reason: reason}})
}

func TestAtTheHardLimitTheAttemptIsOverAndTheSlotIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBench(t, Config{Concurrency: 2}, on("a", func(context.Context) error { <-release; return nil }))
		limited := lease(1, "a")
		limited.HardTimeLimit = durationpb.New(time.Second)
		b.w.ledger.take([]*droverv1.Lease{limited})
		time.Sleep(time.Second)
		b.want(b.up(), "credit 1; 1:TIME_LIMIT")
		b.settle(1)
		b.want(b.up(), "")
		close(release)
		b.want(b.up(), "credit 2")
	})
}

func TestACancelledHandlerThatFinishesAllTheSameSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, on("a", func(ctx context.Context) error { <-ctx.Done(); return nil }))
		b.w.ledger.take([]*droverv1.Lease{lease(1, "a")})
		b.interrupt(droverv1.CancelReason_CANCEL_REASON_REQUESTED)
		b.want(b.up(), "1:success null")
	})
}

func TestAHandlerKnowsItsJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var job *Job
		var deadline time.Time
		b := newBench(t, Config{}, on("a", func(ctx context.Context) error {
			job = FromContext(ctx)
			deadline, _ = ctx.Deadline()
			return errors.Join(job.Progress(0.5, map[string]int{"done": 1}), job.ProgressDetail("half"))
		}))
		given := lease(1, "a")
		given.Labels = map[string]string{"customer": "7"}
		given.Attempt, given.Failures, given.MaxAttempts = 3, 1, 4
		given.SoftTimeLimit = durationpb.New(time.Minute)
		b.w.ledger.take([]*droverv1.Lease{given})
		b.want(b.up(), "1:at 0; 1:success null")
		if job.ID != "a~ab" || job.Attempt != 3 || job.Failures != 1 || job.MaxAttempts != 4 || job.Labels["customer"] != "7" {
			t.Errorf("job is %+v", job)
		}
		if want := time.Now().Add(time.Minute); !deadline.Equal(want) || !job.SoftDeadline.Equal(want) {
			t.Errorf("deadline %v, soft %v, want %v", deadline, job.SoftDeadline, want)
		}
	})
}

func TestOutsideOfARunTheJobReportsToNobody(t *testing.T) {
	job := FromContext(t.Context())
	if err := job.Progress(1, nil); err != nil {
		t.Error(err)
	}
	job.Logger().Debug("nothing")
	ctx := NewContext(t.Context(), &Job{Attempt: 2})
	if FromContext(ctx).Attempt != 2 {
		t.Error("a test's own job is not found")
	}
}

func TestProgressThatCannotBeTakenIsRefused(t *testing.T) {
	job := &Job{}
	zero := 0.0
	for rule, err := range map[string]error{
		"no finite number":  job.Progress(1/zero, nil),
		"over 4 KiB":        job.Progress(1, strings.Repeat("x", maxProgressDetail)),
		"no JSON":           job.ProgressDetail(make(chan int)),
		"nothing to report": job.ProgressDetail(nil),
	} {
		if err == nil {
			t.Errorf("%s: taken", rule)
		}
	}
}
