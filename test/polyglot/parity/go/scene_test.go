// Package parity holds what a Celery user does against a real broker, one test for each use.
package parity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
	"github.com/drover-dev/drover/client-sdk/go/drovertest"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

// Machines may be busy.
const patience = time.Minute

var address string

func TestMain(m *testing.M) {
	server, err := drovertest.Launch(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address = server.Address
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// scene is a queue of the test's own on the broker of all tests, a client, and a worker that is not running yet.
type scene struct {
	*testing.T
	broker *drovertest.Broker
	client *drover.Client
	worker *worker.Worker
	queue  string
	ctx    context.Context
}

var scenes atomic.Int64

func setting(t *testing.T, config worker.Config) *scene {
	t.Helper()
	t.Parallel()
	broker := drovertest.At(t, address)
	queue := fmt.Sprintf("go-%d", scenes.Add(1))
	config.Addresses = broker.Addresses()
	config.Queues = []worker.Queue{{Name: queue}}
	if config.DrainTimeout == 0 {
		config.DrainTimeout = -1
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &scene{t, broker, broker.Client(), worker.New(config), queue, ctx}
}

// define is a task of this scene's queue, retried at once.
func define[In, Out any](s *scene, name string, options ...drover.Option) drover.Task[In, Out] {
	options = append([]drover.Option{drover.Queue(s.queue), drover.Backoff(0, 1, 0)}, options...)
	return drover.Define[In, Out](name, options...)
}

func (s *scene) run() (stop func()) { return s.broker.Run(s.worker) }

// submit submits or ends the test.
func submit[In, Out any](s *scene, task drover.Task[In, Out], in In, options ...drover.Option) drover.TaskHandle[Out] {
	s.Helper()
	return must(task.Submit(s.ctx, s.client, in, options...))(s)
}

// must takes what a call returned; an error ends the test.
func must[Value any](value Value, err error) func(*scene) Value {
	return func(s *scene) Value {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
		return value
	}
}

func (s *scene) ended(job drover.JobHandle, state drover.State) drover.Job {
	s.Helper()
	status := must(job.Wait(s.ctx))(s)
	if status.State != state {
		s.Fatalf("%s is %s, not %s (%+v)", job.ID, status.State, state, status.Failure)
	}
	return status
}

// until asks for a job until it is as wanted.
func (s *scene) until(job drover.JobHandle, what string, holds func(drover.Job) bool) drover.Job {
	s.Helper()
	for status, err := range job.Watch(s.ctx) {
		if err != nil {
			s.Fatalf("%s: %v", what, err)
		}
		if holds(status) {
			return status
		}
	}
	s.Fatalf("%s ended without being %s", job.ID, what)
	return drover.Job{}
}

func in(state drover.State) func(drover.Job) bool {
	return func(job drover.Job) bool { return job.State == state }
}

func same[Value comparable](s *scene, what string, got, want Value) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// near holds a time against another one, to the second.
func (s *scene) near(what string, got, want time.Duration) {
	s.Helper()
	if d := got - want; d < -time.Second || d > time.Second {
		s.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// hold keeps handlers until it is let go; it is told of each that begins.
type hold struct {
	began chan struct{}
	open  chan struct{}
}

func newHold() *hold { return &hold{make(chan struct{}, 1000), make(chan struct{})} }

func (h *hold) handle(ctx context.Context, in int) (int, error) {
	h.began <- struct{}{}
	select {
	case <-h.open:
		return in, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (h *hold) wait(s *scene) {
	s.Helper()
	select {
	case <-h.began:
	case <-s.ctx.Done():
		s.Fatal("no handler began")
	}
}

var errBusy = errors.New("the mail server is busy")
