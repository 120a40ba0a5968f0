package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

func Test16Routes(t *testing.T) {
	s := setting(t, worker.Config{})
	nine := 9
	name := "mail." + s.queue
	must(s.client.PutRoutes(s.ctx, s.queue, []drover.Route{{Name: s.queue, Task: name + ".*", Queue: s.queue, Priority: &nine}}))(s)
	task := drover.Define[user, processed](name + ".send")
	routed := must(submit(s, task, user{1}).Status(s.ctx))(s)
	same(s, "queue", routed.Queue, s.queue)
	same(s, "priority", routed.Priority, 9)
	explicit := must(submit(s, task, user{1}, drover.Priority(0)).Status(s.ctx))(s)
	same(s, "what is said wins", explicit.Priority, 0)
	same(s, "the rest is routed", explicit.Queue, s.queue)
	routes := must(s.client.Routes(s.ctx))(s)
	if !slices.ContainsFunc(routes, func(r drover.Route) bool { return r.Owner == s.queue && *r.Priority == 9 }) {
		s.Errorf("%+v", routes)
	}
}

func Test31ExplainAndMove(t *testing.T) {
	s := setting(t, worker.Config{})
	job := submit(s, define[user, processed](s, "nobody_serves"), user{1}, drover.Delay(time.Hour))
	explained := must(job.Explain(s.ctx))(s)
	if len(explained.Obstacles) != 2 || explained.Obstacles[0].Kind != drover.NoWorker || explained.Obstacles[1].Kind != drover.NotDue {
		s.Errorf("%+v", explained)
	}
	due := must(job.Status(s.ctx))(s).DueAt
	same(s, "until", explained.Obstacles[1].Until, due)
	queue, nine := s.queue+"-next", 9
	moved := must(job.Move(s.ctx, drover.Place{Queue: &queue, Priority: &nine}))(s)
	same(s, "the queue", moved.Queue, queue)
	same(s, "the priority", moved.Priority, 9)
	same(s, "the id", moved.ID, job.ID)
	if _, _, err := job.Cancel(s.ctx, ""); err != nil {
		s.Fatal(err)
	}
	if _, err := job.Move(s.ctx, drover.Place{Queue: &s.queue}); !errors.Is(err, drover.ErrNotWaiting) {
		s.Errorf("got %v", err)
	}
}

func Test22UnitTest(t *testing.T) {
	// No broker, no network: a handler is a function.
	progress := func(ctx context.Context, in user) (processed, error) {
		job := worker.FromContext(ctx)
		job.Logger().Debug("processing")
		return processed{in.ID, job.Labels["tenant"]}, job.Progress(1, nil)
	}
	ctx := worker.NewContext(t.Context(), &worker.Job{Labels: map[string]string{"tenant": "acme"}})
	got, err := progress(ctx, user{42})
	if err != nil || got != (processed{42, "acme"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func Test23IntegrationTest(t *testing.T) {
	s := setting(t, worker.Config{}) // the broker of drovertest
	task := define[user, processed](s, "process_user")
	worker.Serve(s.worker, task, process)
	stop := s.run()
	s.ended(submit(s, task, user{1}).JobHandle, drover.Succeeded)
	stop()
	left := submit(s, task, user{2})
	same(s, "without a worker", must(left.Status(s.ctx))(s).State, drover.Ready)
}

// journal is a log to look into.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

// lines are those of an event about a job.
func (j *journal) lines(event, job string) (found []map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for text := range strings.Lines(j.text.String()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == event && line["job_id"] == job {
			found = append(found, line)
		}
	}
	return found
}

func Test25StructuredLogs(t *testing.T) {
	var log journal
	s := setting(t, worker.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	task := define[bool, string](s, "logs", drover.Retries(0))
	worker.Serve(s.worker, task, func(ctx context.Context, fails bool) (string, error) {
		worker.FromContext(ctx).Logger().Info("looking", "rows", 3)
		if fails {
			return "", errBusy
		}
		return "a secret", nil
	})
	stop := s.run()
	good, bad := submit(s, task, false), submit(s, task, true)
	s.ended(good.JobHandle, drover.Succeeded)
	s.ended(bad.JobHandle, drover.Failed)
	stop()
	for _, test := range []struct{ event, job string }{
		{"task_started", good.ID}, {"looking", good.ID}, {"task_completed", good.ID}, {"task_started", bad.ID}, {"task_failed", bad.ID},
	} {
		lines := log.lines(test.event, test.job)
		if len(lines) != 1 || lines[0]["task"] != "logs" || lines[0]["attempt"] != 1.0 {
			s.Errorf("%s: %v", test.event, lines)
		}
	}
	if _, timed := log.lines("task_completed", good.ID)[0]["duration_ms"].(float64); !timed {
		s.Error("no duration")
	}
	if strings.Contains(log.text.String(), "secret") {
		s.Error("the result is in the log")
	}
}

func Test30InspectActive(t *testing.T) {
	s := setting(t, worker.Config{Name: "go-inspected"})
	held := newHold()
	task := define[int, int](s, "hold")
	worker.Serve(s.worker, task, held.handle)
	s.run()
	job := submit(s, task, 1)
	held.wait(s)
	active := must(s.client.Active(s.ctx))(s)
	at := slices.IndexFunc(active, func(active drover.ActiveJob) bool { return active.JobID == job.ID })
	if at < 0 {
		s.Fatalf("%+v", active)
	}
	same(s, "worker", active[at].Worker, "go-inspected")
	same(s, "queue", active[at].Queue, s.queue)
	if since := time.Since(active[at].StartedAt); since < -time.Second || since > patience {
		s.Errorf("since %v", active[at].StartedAt)
	}
	close(held.open)
	s.ended(job.JobHandle, drover.Succeeded)
}

func Test31InspectRegistered(t *testing.T) {
	s := setting(t, worker.Config{Name: "go-registered"})
	task := define[user, processed](s, "registered."+s.queue)
	worker.Serve(s.worker, task, process)
	s.run()
	s.ended(submit(s, task, user{1}).JobHandle, drover.Succeeded)
	registered := must(s.client.Registered(s.ctx))(s)
	at := slices.IndexFunc(registered, func(r drover.RegisteredTask) bool { return r.Task == task.Name() })
	if at < 0 || !slices.Equal(registered[at].Workers, []string{"go-registered"}) || !slices.Equal(registered[at].Queues, []string{s.queue}) {
		s.Errorf("%+v", registered)
	}
}

func Test32Purge(t *testing.T) {
	s := setting(t, worker.Config{})
	mail, other := define[int, int](s, "mail"), define[int, int](s, "other")
	var jobs []drover.TaskHandle[int]
	for i := range 3 {
		jobs = append(jobs, submit(s, mail, i))
	}
	kept := submit(s, other, 1)
	dry := must(s.client.PurgeQueue(s.ctx, s.queue, drover.Purge{Task: "mail", DryRun: true}))(s)
	same(s, "dry", dry, drover.Purged{Ready: 3})
	same(s, "still there", must(jobs[0].Status(s.ctx))(s).State, drover.Ready)
	same(s, "purged", must(s.client.PurgeQueue(s.ctx, s.queue, drover.Purge{Task: "mail"}))(s), drover.Purged{Ready: 3})
	if _, err := jobs[0].Status(s.ctx); !errors.Is(err, drover.ErrJobNotFound) {
		s.Errorf("a purged job: %v", err)
	}
	same(s, "another task's", must(kept.Status(s.ctx))(s).State, drover.Ready)
}

func Test34IdempotentTasks(t *testing.T) {
	s := setting(t, worker.Config{})
	name := "idempotent." + s.queue
	task := drover.Define[user, processed](name)
	route := drover.Route{Name: s.queue, Task: name, Queue: s.queue}
	must(s.client.PutRoutes(s.ctx, s.queue, []drover.Route{route}))(s)
	first := submit(s, task, user{1}, drover.Key("order-4711"))
	route.Queue = s.queue + "-elsewhere"
	must(s.client.PutRoutes(s.ctx, s.queue, []drover.Route{route}))(s)
	second := submit(s, task, user{1}, drover.Key("order-4711"))
	same(s, "id", second.ID, first.ID)
	same(s, "deduplicated", second.Deduplicated, true)
	same(s, "queue", must(second.Status(s.ctx))(s).Queue, s.queue)
	_, err := task.Submit(s.ctx, s.client, user{1}, drover.Key("order-4711"), drover.RejectExisting())
	if !errors.Is(err, drover.ErrJobExists) {
		s.Errorf("with RejectExisting: %v", err)
	}
	var refused *drover.Error
	_, err = task.Submit(s.ctx, s.client, user{1}, drover.Key("no key"))
	if !errors.As(err, &refused) || len(refused.Fields) == 0 || !strings.HasSuffix(refused.Fields[0].Name, "key") {
		s.Errorf("a bad key: %v", err)
	}
}
