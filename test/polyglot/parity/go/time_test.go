package parity

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

func Test12PeriodicByCron(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user")
	worker.Serve(s.worker, task, process)
	s.run()
	from := time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC) // a Friday, before Berlin's clocks go forward
	for rule, want := range map[string][]string{
		"0 9 * * *":    {"2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"},
		"*/30 * * * *": {"2026-03-27T12:30:00Z", "2026-03-27T13:00:00Z"},
		"0 8 * * 1":    {"2026-03-30T06:00:00Z", "2026-04-06T06:00:00Z"},
		"0 0 * * *":    {"2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z"},
	} {
		schedule := drover.Cron(s.queue, rule, "Europe/Berlin", task.Spec(user{1}))
		times := must(s.client.PreviewSchedule(s.ctx, schedule, from, 2))(s)
		var got []string
		for _, at := range times {
			got = append(got, at.UTC().Format(time.RFC3339))
		}
		if !slices.Equal(got, want) {
			s.Errorf("%s: got %v, want %v", rule, got, want)
		}
	}
	daily := drover.Cron(s.queue, "0 9 * * *", "Europe/Berlin", task.Spec(user{1}))
	put := must(s.client.PutSchedules(s.ctx, s.queue, []drover.Schedule{daily}, false))(s)
	same(s, "declared", fmt.Sprint(put.Added), "["+s.queue+"]")
	put = must(s.client.PutSchedules(s.ctx, s.queue, []drover.Schedule{daily}, false))(s)
	same(s, "declared again", fmt.Sprint(put.Unchanged), "["+s.queue+"]")
	if next := must(s.client.Schedule(s.ctx, s.queue))(s).NextAt; !next.After(time.Now()) {
		s.Errorf("next at %v", next)
	}
	triggered := must(s.client.TriggerSchedule(s.ctx, s.queue))(s)
	same(s, "triggered", must(drover.Result[processed](s.ctx, s.client, triggered))(s).UserID, 1)
	if err := s.client.DeleteSchedule(s.ctx, s.queue); err != nil {
		s.Error(err)
	}
}

func Test13PeriodicByInterval(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[user, processed](s, "process_user")
	ran := make(chan *worker.Job, 100)
	worker.Serve(s.worker, task, func(ctx context.Context, in user) (processed, error) {
		ran <- worker.FromContext(ctx)
		return process(ctx, in)
	})
	s.run()
	every := drover.Every(s.queue, time.Second, task.Spec(user{1}))
	must(s.client.PutSchedules(s.ctx, s.queue, []drover.Schedule{every}, false))(s)
	var planned []time.Time
	for range 3 {
		select {
		case job := <-ran:
			status := must(s.client.Status(s.ctx, job.ID))(s)
			same(s, "schedule", status.Schedule, s.queue)
			planned = append(planned, status.PlannedAt)
		case <-s.ctx.Done():
			s.Fatalf("it fired %d times", len(planned))
		}
	}
	if err := s.client.DeleteSchedule(s.ctx, s.queue); err != nil {
		s.Fatal(err)
	}
	slices.SortFunc(planned, time.Time.Compare)
	for i, at := range planned[1:] {
		if apart := at.Sub(planned[i]); apart < time.Second || apart%time.Second != 0 {
			s.Errorf("planned times are %v apart", apart)
		}
	}
}

func Test28RateLimit(t *testing.T) {
	s := setting(t, worker.Config{Concurrency: 10})
	task := define[int, int](s, "limited."+s.queue)
	if err := s.client.LimitTask(s.ctx, task.Name(), drover.Limits{Rate: 2, Period: time.Second}); err != nil {
		t.Fatal(err)
	}
	worker.Serve(s.worker, task, func(_ context.Context, n int) (int, error) { return n, nil })
	var jobs []drover.TaskHandle[int]
	for i := range 6 {
		jobs = append(jobs, submit(s, task, i))
	}
	s.run()
	var starts []time.Time
	for _, job := range jobs {
		starts = append(starts, s.ended(job.JobHandle, drover.Succeeded).StartedAt)
	}
	slices.SortFunc(starts, time.Time.Compare)
	// The broker tells of a start once it has taken the token: a moment of a busy machine may lie between.
	if took := starts[5].Sub(starts[0]); took < 2*time.Second {
		s.Errorf("6 jobs of 2 a second started within %v", took)
	}
}

func TestAUniqueJobIsTheOneThatIsThere(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[int, int](s, "unique")
	first := submit(s, task, 1, drover.UniqueFor(s.queue, 0))
	second := submit(s, task, 2, drover.UniqueFor(s.queue, 0))
	same(s, "id", second.ID, first.ID)
	same(s, "deduplicated", second.Deduplicated, true)
}

func TestADebouncedJobRunsOnceWithWhatWasSaidLast(t *testing.T) {
	s := setting(t, worker.Config{})
	task := define[int, int](s, "debounced")
	var runs atomic.Int64
	worker.Serve(s.worker, task, func(_ context.Context, n int) (int, error) { runs.Add(1); return n, nil })
	s.run()
	var job drover.TaskHandle[int]
	for n, wait := range []time.Duration{time.Hour, time.Hour, 200 * time.Millisecond} {
		job = submit(s, task, n, drover.Key(s.queue), drover.Debounce(wait, 0))
	}
	same(s, "result", must(job.Result(s.ctx))(s), 2)
	same(s, "runs", runs.Load(), 1)
}
