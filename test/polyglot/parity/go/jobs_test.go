package parity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	drover "github.com/drover-dev/drover/client-sdk/go"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

type user struct {
	ID int `json:"user_id"`
}

type processed struct {
	UserID int    `json:"user_id"`
	Status string `json:"status"`
}

func process(_ context.Context, in user) (processed, error) {
	return processed{in.ID, "processed"}, nil
}

func Test01SimpleTask(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user")
	worker.Serve(s.worker, task, process)
	s.run()
	direct := must(process(s.ctx, user{42}))(s)
	same(s, "through the broker", must(submit(s, task, user{42}).Result(s.ctx))(s), direct)
}

type session struct{ open *atomic.Int64 }

type sessionKey struct{}

func Test02AsyncTask(t *testing.T) {
	s := setting(t, worker.Config{Concurrency: 8})
	held := newHold()
	var open, opened, stopped atomic.Int64
	s.worker.OnStartStop(
		func(context.Context) error { opened.Add(1); return nil },
		func(context.Context) error { stopped.Add(1); return nil },
	)
	s.worker.Around(func(ctx context.Context, run func(context.Context) error) error {
		open.Add(1)
		defer open.Add(-1)
		return run(context.WithValue(ctx, sessionKey{}, session{&open}))
	})
	hold, panics := define[int, int](s, "hold"), define[int, int](s, "panic", drover.Retries(0))
	worker.Serve(s.worker, hold, held.handle)
	worker.Serve(s.worker, panics, func(ctx context.Context, _ int) (int, error) {
		if ctx.Value(sessionKey{}).(session).open.Load() == 0 {
			return 0, errors.New("no session is open")
		}
		panic("oh no")
	})
	stop := s.run()
	var jobs []drover.TaskHandle[int]
	for i := range 8 {
		jobs = append(jobs, submit(s, hold, i))
	}
	for range jobs {
		held.wait(s)
	}
	same(s, "sessions of 8 handlers at once", open.Load(), 8)
	close(held.open)
	for i, job := range jobs {
		same(s, "result", must(job.Result(s.ctx))(s), i)
	}
	failed := s.ended(submit(s, panics, 0).JobHandle, drover.Failed)
	same(s, "failure", failed.Failure.Message, "panic: oh no")
	if !strings.Contains(failed.Failure.Stack, "jobs_test.go") {
		s.Errorf("the stack does not tell where: %s", failed.Failure.Stack)
	}
	stop()
	same(s, "sessions left open", open.Load(), 0)
	same(s, "starts", opened.Load(), 1)
	same(s, "stops", stopped.Load(), 1)
}

func Test03SubmitFromAWebRoute(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user")
	var runs atomic.Int64
	worker.Serve(s.worker, task, func(ctx context.Context, in user) (processed, error) {
		runs.Add(1)
		return process(ctx, in)
	})
	// The first answer is lost on its way, as when a connection breaks.
	var tries atomic.Int64
	lossy, err := drover.New(drover.Config{
		Addresses: s.broker.Addresses(),
		DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, answer any,
			conn *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			err := call(ctx, method, request, answer, conn, options...)
			if strings.HasSuffix(method, "JobService/Submit") && tries.Add(1) == 1 {
				return status.Error(codes.Unavailable, "the connection broke")
			}
			return err
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer lossy.Close()
	job := must(task.Submit(s.ctx, lossy, user{42}))(s)
	same(s, "tries", tries.Load(), 2)
	same(s, "there before any worker is", must(s.client.Status(s.ctx, job.ID))(s).State, drover.Ready)
	s.run()
	s.ended(job.JobHandle, drover.Succeeded)
	same(s, "another job, done after it", must(submit(s, task, user{43}).Result(s.ctx))(s).UserID, 43)
	same(s, "runs of both", runs.Load(), 2)
}

func Test04StatusEndpoint(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user")
	worker.Serve(s.worker, task, process)
	s.run()
	job := submit(s, task, user{42}, drover.Key("user_42.v-1"))
	same(s, "the id in a URL path", url.PathEscape(job.ID), job.ID)
	ended := s.ended(job.JobHandle, drover.Succeeded)
	var result processed
	if err := ended.Result.Decode(&result); err != nil || result.Status != "processed" || ended.Attempt != 1 ||
		ended.SubmittedAt.IsZero() || ended.StartedAt.Before(ended.SubmittedAt) || ended.FinishedAt.Before(ended.StartedAt) {
		s.Errorf("%+v, %v", ended, err)
	}
	if _, err := s.client.Status(s.ctx, "process_user~nobody"); !errors.Is(err, drover.ErrJobNotFound) {
		s.Errorf("an unknown id: %v", err)
	}
}

func Test04LabelsAreToldByTheStatusAndToTheHandler(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, map[string]string](s, "labels")
	worker.Serve(s.worker, task, func(ctx context.Context, _ user) (map[string]string, error) {
		return worker.FromContext(ctx).Labels, nil
	})
	s.run()
	labels := map[string]string{"tenant": "acme", "region": "eu"}
	job := submit(s, task, user{42}, drover.Labels(labels))
	same(s, "in the status", fmt.Sprint(must(job.Status(s.ctx))(s).Labels), fmt.Sprint(labels))
	same(s, "in the handler", fmt.Sprint(must(job.Result(s.ctx))(s)), fmt.Sprint(labels))
}

func Test05Progress(t *testing.T) {
	s := setting(t, worker.Config{})
	held := newHold()
	task := define[int, int](s, "import")
	worker.Serve(s.worker, task, func(ctx context.Context, in int) (int, error) {
		if err := worker.FromContext(ctx).Progress(0.5, map[string]int{"rows": 50}); err != nil {
			return 0, err
		}
		return held.handle(ctx, in)
	})
	s.run()
	job := submit(s, task, 1)
	watched := s.until(job.JobHandle, "seen half way", func(job drover.Job) bool { return job.Progress != nil })
	asked := must(job.Status(s.ctx))(s)
	for _, seen := range []drover.Job{watched, asked} {
		if seen.State != drover.Running || *seen.Progress.Value != 0.5 || string(seen.Progress.Detail) != `{"rows":50}` {
			s.Errorf("%+v", seen.Progress)
		}
	}
	close(held.open)
	s.ended(job.JobHandle, drover.Succeeded)
}

func Test06AutomaticRetry(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[struct{}, struct{}](s, "busy", drover.Retries(3))
	var mu sync.Mutex
	var attempts []int
	worker.Serve(s.worker, task, func(ctx context.Context, _ struct{}) (struct{}, error) {
		mu.Lock()
		defer mu.Unlock()
		attempts = append(attempts, worker.FromContext(ctx).Attempt)
		return struct{}{}, errBusy
	})
	s.run()
	failed := s.ended(submit(s, task, struct{}{}).JobHandle, drover.Failed)
	same(s, "attempts", fmt.Sprint(attempts), "[1 2 3 4]")
	same(s, "failure", failed.Failure.Message, errBusy.Error())
	same(s, "with one retry said at the submit", s.ended(submit(s, task, struct{}{}, drover.Retries(1)).JobHandle, drover.Failed).Failures, 2)
}

func Test07ExponentialBackoff(t *testing.T) {
	s := setting(t, worker.Config{})
	// Goes through the first failures without their waits, so that the wait after the last is there to be seen.
	task := define[int, struct{}](s, "busy", drover.Backoff(time.Minute, 2, time.Hour), drover.Jitter(0))
	worker.Serve(s.worker, task, func(ctx context.Context, failures int) (struct{}, error) {
		if worker.FromContext(ctx).Attempt < failures {
			return struct{}{}, worker.RetryAfter(errBusy, 0)
		}
		return struct{}{}, errBusy
	})
	s.run()
	for failures, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 3: 4 * time.Minute} {
		job := submit(s, task, failures)
		waits := s.until(job.JobHandle, "waiting", func(job drover.Job) bool {
			return job.State == drover.Retrying && job.Failures == failures
		})
		s.near(fmt.Sprintf("wait after failure %d", failures), waits.DueAt.Sub(waits.History[failures-1].EndedAt), want)
	}
}

func Test08TemporaryError(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[struct{}, struct{}](s, "busy", drover.Backoff(time.Hour, 1, time.Hour))
	worker.Serve(s.worker, task, func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, worker.RetryAfter(errBusy, 300*time.Second)
	})
	s.run()
	waits := s.until(submit(s, task, struct{}{}).JobHandle, "waiting", in(drover.Retrying))
	s.near("wait", waits.DueAt.Sub(waits.History[0].EndedAt), 300*time.Second)
	same(s, "failures", waits.Failures, 1)
}

type noSuchUser struct{ id int }

func (e noSuchUser) Error() string { return fmt.Sprintf("no user %d", e.id) }

func Test09PermanentError(t *testing.T) {
	s := setting(t, worker.Config{})
	marked, ruled := define[int, struct{}](s, "marked"), define[int, struct{}](s, "ruled")
	fails := func(_ context.Context, id int) (struct{}, error) { return struct{}{}, noSuchUser{id} }
	worker.Serve(s.worker, marked, func(ctx context.Context, id int) (struct{}, error) {
		_, err := fails(ctx, id)
		return struct{}{}, worker.Permanent(err)
	})
	worker.Serve(s.worker, ruled, fails, worker.PermanentType[noSuchUser]())
	s.run()
	for _, task := range []drover.Task[int, struct{}]{marked, ruled} {
		job := submit(s, task, 42)
		_, err := job.Result(s.ctx)
		var failed *drover.FailedError
		if !errors.As(err, &failed) {
			s.Fatalf("%s: %v", task.Name(), err)
		}
		same(s, "attempts", failed.Job.Attempt, 1)
		same(s, "failure", *failed.Job.Failure,
			drover.Failure{Reason: "PERMANENT", Type: "parity.noSuchUser", Message: "no user 42"})
	}
}

func Test10Countdown(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user")
	worker.Serve(s.worker, task, process)
	s.run()
	later := must(submit(s, task, user{1}, drover.Delay(300*time.Second)).Status(s.ctx))(s)
	same(s, "state", later.State, drover.Scheduled)
	s.near("due", later.DueAt.Sub(later.SubmittedAt), 300*time.Second)
	soon := s.ended(submit(s, task, user{2}, drover.Delay(300*time.Millisecond)).JobHandle, drover.Succeeded)
	if wait := soon.StartedAt.Sub(soon.SubmittedAt); wait < 300*time.Millisecond {
		s.Errorf("it started after %v", wait)
	}
}

func Test11Eta(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user")
	at := time.Now().Add(time.Hour).Truncate(time.Second).In(time.FixedZone("UTC+5:30", 19_800))
	later := must(submit(s, task, user{1}, drover.RunAt(at)).Status(s.ctx))(s)
	same(s, "state", later.State, drover.Scheduled)
	if !later.DueAt.Equal(at) {
		s.Errorf("due at %v, not %v", later.DueAt, at)
	}
}

func Test14Priority(t *testing.T) {
	s := setting(t, worker.Config{Concurrency: 1})
	var mu sync.Mutex
	var order []int
	task := define[int, struct{}](s, "note")
	worker.Serve(s.worker, task, func(_ context.Context, n int) (struct{}, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, n)
		return struct{}{}, nil
	})
	var jobs []drover.TaskHandle[struct{}]
	for _, priority := range []int{0, 9, 5, 0, 9} {
		jobs = append(jobs, submit(s, task, priority, drover.Priority(priority)))
	}
	s.run()
	for _, job := range jobs {
		s.ended(job.JobHandle, drover.Succeeded)
	}
	same(s, "order", fmt.Sprint(order), "[9 9 5 0 0]")
}

func Test15ChooseAQueue(t *testing.T) {
	s := setting(t, worker.Config{})
	task := drover.Define[user, processed]("process_user") // says nothing of a queue
	worker.Serve(s.worker, task, process)
	s.run()
	same(s, "queue", s.ended(submit(s, task, user{1}, drover.Queue(s.queue)).JobHandle, drover.Succeeded).Queue, s.queue)
}

func Test17FireAndForget(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user", drover.Retention(0))
	worker.Serve(s.worker, task, process)
	s.run()
	job := submit(s, task, user{1}, drover.Key(s.queue))
	if _, err := job.Result(s.ctx); !errors.Is(err, drover.ErrNoResult) {
		s.Errorf("result: %v", err)
	}
	same(s, "state", must(job.Status(s.ctx))(s).State, drover.Succeeded)
	same(s, "a second submit of its key", submit(s, task, user{1}, drover.Key(s.queue)).Deduplicated, true)
}

func Test18WaitForAResult(t *testing.T) {
	s := setting(t, worker.Config{})
	held := newHold()
	task := define[int, int](s, "hold")
	worker.Serve(s.worker, task, held.handle)
	s.run()
	job := submit(s, task, 7)
	held.wait(s)
	short, cancel := context.WithTimeout(s.ctx, 200*time.Millisecond)
	defer cancel()
	_, err := job.Result(short)
	var late *drover.WaitError
	if !errors.As(err, &late) || late.ID != job.ID || !errors.Is(err, context.DeadlineExceeded) {
		s.Fatalf("too early: %v", err)
	}
	close(held.open)
	same(s, "result", must(task.Job(s.client, late.ID).Result(s.ctx))(s), 7)
}

func Test26SoftTimeLimit(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[int, string](s, "slow", drover.SoftTimeLimit(100*time.Millisecond), drover.HardTimeLimit(time.Hour))
	worker.Serve(s.worker, task, func(ctx context.Context, _ int) (string, error) {
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), worker.ErrSoftTimeLimit) {
			return "", context.Cause(ctx)
		}
		return "cleaned up", nil
	})
	s.run()
	same(s, "result", must(submit(s, task, 1).Result(s.ctx))(s), "cleaned up")
}

func Test27HardTimeLimit(t *testing.T) {
	s := setting(t, worker.Config{})
	release := make(chan struct{})
	defer close(release)
	task := define[int, string](s, "deaf", drover.HardTimeLimit(100*time.Millisecond), drover.Retries(0))
	worker.Serve(s.worker, task, func(context.Context, int) (string, error) {
		<-release // listens to nobody
		return "too late", nil
	})
	s.run()
	failed := s.ended(submit(s, task, 1).JobHandle, drover.Failed)
	same(s, "reason", failed.Failure.Reason, "TIME_LIMIT")
}

func Test33Revoke(t *testing.T) {
	s := setting(t, worker.Config{Concurrency: 1})
	held := newHold()
	task := define[int, int](s, "hold")
	worker.Serve(s.worker, task, held.handle)
	s.run()
	running := submit(s, task, 1)
	held.wait(s)
	for _, test := range []struct {
		job   drover.TaskHandle[int]
		did   drover.Cancellation
		state drover.State
	}{
		{submit(s, task, 2, drover.Delay(time.Hour)), drover.CancelDone, drover.Scheduled},
		{submit(s, task, 3), drover.CancelDone, drover.Ready},
		{running, drover.CancelRequested, drover.Running},
	} {
		did, was, err := test.job.Cancel(s.ctx, "not wanted any more")
		if err != nil || did != test.did || was != test.state {
			s.Errorf("a %s job: %s, %s, %v", test.state, did, was, err)
		}
		ended := s.ended(test.job.JobHandle, drover.Cancelled)
		same(s, "reason", ended.CancelReason, "not wanted any more")
	}
	_, err := running.Result(s.ctx)
	var cancelled *drover.CancelledError
	if !errors.As(err, &cancelled) {
		s.Errorf("result: %v", err)
	}
	did, _, err := running.Cancel(s.ctx, "")
	if err != nil || did != drover.CancelTooLate {
		s.Errorf("once more: %s, %v", did, err)
	}
}

func TestManySubmitsAtOnceAreJobsOfTheirOwn(t *testing.T) {
	s := setting(t, worker.Config{Concurrency: 100})
	task := define[int, int](s, "echo")
	worker.Serve(s.worker, task, func(_ context.Context, n int) (int, error) { return n, nil })
	s.run()
	const n = 500
	results := make([]int, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			job, err := task.Submit(s.ctx, s.client, i)
			if err == nil {
				results[i], err = job.Result(s.ctx)
			}
			if err != nil {
				s.Error(err)
			}
		})
	}
	group.Wait()
	if !slices.IsSorted(results) || results[n-1] != n-1 {
		s.Error("results are not in order")
	}
}
