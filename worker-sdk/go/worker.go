package worker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/drover-dev/drover/proto/gen/go/drover/sdk"
	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

const version = "0.1.0"

// Config says how a worker runs. The zero value serves the queue `default` of a broker on this machine.
type Config struct {
	// Brokers as `host:port` or `host`; one of them is attached to, the next one when it fails. Default: those of the environment
	// variable DROVER_ADDRESS, separated by commas, else `127.0.0.1:50051`.
	Addresses []string
	// Where jobs are taken from, at most 100. Default: the queue `default`.
	Queues []Queue
	// How many handlers run at a time: 1 to 10,000, default 10. A handler takes its slot until it returns, even when
	// its attempt is over.
	Concurrency int
	// Jobs held beyond that, so that the next one is there when one ends: default 0, with Concurrency at most 10,000.
	// They wait here while another worker may be free, so it pays for short jobs only.
	Prefetch int
	// How long running handlers may go on once the worker is to stop, before their contexts end and their jobs are
	// given back. Default 20 s; negative = not at all.
	DrainTimeout time.Duration
	// Which of the broker's namespaces; empty = its own.
	Namespace string
	// How people see this worker, at most 128 characters. Default `host:pid`.
	Name string
	// Default slog.Default(), under Main JSON lines on standard error.
	Logger *slog.Logger
	// Speaks TLS where it is set; &tls.Config{} trusts what the machine trusts. Default: without TLS.
	TLS *tls.Config
	// Sent with every call, for example a bearer token.
	Credentials credentials.PerRPCCredentials
	// Anything else about the connections; wins over what this package sets.
	DialOptions []grpc.DialOption
}

// Queue is a queue that a worker takes jobs from.
type Queue struct {
	Name string
	// Its share among the worker's queues: 1 to 100, 0 = 1.
	Weight int
}

// Worker runs jobs; make one with New, give it tasks with Handle, and start it with Run or Main.
type Worker struct {
	config   Config
	tasks    map[string]*task
	problems []error
	hooks    []hook
	around   []func(context.Context, func(context.Context) error) error
	started  atomic.Bool
	// Made anew for each process, by which brokers know a session that comes back.
	instance string
	// Of the logger that Main makes.
	level  slog.Level
	log    *slog.Logger
	ledger *ledger
	// Of the current session; nil between two.
	conn atomic.Pointer[grpc.ClientConn]
}

// New makes a worker; mistakes in config are reported by Run.
func New(config Config) *Worker {
	config.Addresses = sdk.Addresses(config.Addresses)
	if len(config.Queues) == 0 {
		config.Queues = []Queue{{Name: "default"}}
	}
	if config.Concurrency == 0 {
		config.Concurrency = 10
	}
	if config.DrainTimeout == 0 {
		config.DrainTimeout = 20 * time.Second
	}
	if config.Name == "" {
		host, _ := os.Hostname()
		config.Name = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	instance := make([]byte, 16)
	_, _ = rand.Read(instance) // never fails
	return &Worker{config: config, tasks: map[string]*task{}, instance: hex.EncodeToString(instance)}
}

func (w *Worker) register(t *task) {
	if w.tasks[t.name] != nil {
		w.problems = append(w.problems, fmt.Errorf("task %q: registered twice", t.name))
	}
	w.tasks[t.name] = t
}

// check returns every mistake at once.
func (w *Worker) check() error {
	problems := slices.Clone(w.problems)
	if n := len(w.tasks); n == 0 || n > 1000 {
		problems = append(problems, fmt.Errorf("%d tasks are registered, 1 to 1,000 can be", n))
	}
	for _, name := range slices.Sorted(maps.Keys(w.tasks)) {
		problems = append(problems, checkName("task", name))
		if n := w.tasks[name].concurrency; n < 0 {
			problems = append(problems, fmt.Errorf("task %q: MaxConcurrent(%d): 0 (no bound) or more", name, n))
		}
	}
	if n := len(w.config.Queues); n > 100 {
		problems = append(problems, fmt.Errorf("%d queues, at most 100 can be served", n))
	}
	for _, queue := range w.config.Queues {
		problems = append(problems, checkName("queue", queue.Name))
		if queue.Weight < 0 || queue.Weight > 100 {
			problems = append(problems, fmt.Errorf("queue %q: weight %d: 1 to 100", queue.Name, queue.Weight))
		}
	}
	if n := w.config.Concurrency; n < 1 || n > 10_000 {
		problems = append(problems, fmt.Errorf("concurrency %d: 1 to 10,000", n))
	}
	if n := w.config.Prefetch; n < 0 || w.config.Concurrency+n > 10_000 {
		problems = append(problems, fmt.Errorf("prefetch %d: 0 to 10,000 less the concurrency", n))
	}
	if n := len(w.config.Name); n > 128 {
		problems = append(problems, fmt.Errorf("name of %d characters: at most 128", n))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

const (
	// How long handlers have, once their contexts ended, to say something better than "given back".
	lastWords = time.Second
	// How long the last outcomes may take to be settled.
	settleTimeout = 5 * time.Second
)

// Run takes and runs jobs until ctx ends. Then it takes no more, lets running handlers finish for up to DrainTimeout,
// ends their contexts (ErrStopping), gives back the jobs of those that do not return, and returns nil. The handlers'
// contexts carry ctx's values, not its cancellation.
//
// A broker that cannot be reached is tried again for ever. An error means that the configuration is wrong (all mistakes
// are named), that the first broker to be reached refused this worker, or that outcomes could not be reported before
// the end. A Worker runs once.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.check(); err != nil {
		return err
	}
	if w.started.Swap(true) {
		return errors.New("worker: Run was called before")
	}
	w.log = w.config.Logger
	if w.log == nil {
		w.log = slog.Default()
	}
	stop, err := w.start(ctx)
	if err != nil {
		return err
	}
	return errors.Join(w.work(ctx), stop())
}

func (w *Worker) work(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	w.ledger = newLedger(base, w.tasks, slots{w.config.Concurrency, w.config.Prefetch}, w.log, w.execute)

	sessions, stop := context.WithCancel(base)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.stayAttached(sessions) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	w.log.Info("worker_draining", "running", len(w.ledger.running()))
	w.drain()
	select {
	case err := <-ended:
		return err
	case <-time.After(settleTimeout):
		if w.ledger.unsettled() == 0 {
			return nil
		}
		return fmt.Errorf("worker: %d jobs could not be reported before the end", w.ledger.unsettled())
	}
}

// drain returns when every handler has ended or its job was given back.
func (w *Worker) drain() {
	w.ledger.drain()
	select {
	case <-w.ledger.idle:
		return
	case <-time.After(max(0, w.config.DrainTimeout)):
	}
	w.ledger.stop()
	select {
	case <-w.ledger.idle:
		return
	case <-time.After(lastWords):
	}
	for _, r := range w.ledger.running() {
		w.log.Warn("task_released", "job_id", r.lease.GetJobId(), "task", r.lease.GetTask(), "attempt", r.lease.GetAttempt())
		w.ledger.giveUp(r, released())
	}
}

func (w *Worker) attachMessage(held []string, credit int) *droverv1.WorkRequest {
	attach := &droverv1.Attach{
		Worker:   w.config.Name,
		Instance: w.instance,
		Credit:   &droverv1.Credit{Jobs: uint32(credit)},
		Held:     held,
		Sdk:      "go " + version,
	}
	for _, name := range slices.Sorted(maps.Keys(w.tasks)) {
		attach.Tasks = append(attach.Tasks, &droverv1.TaskRegistration{Task: name, Concurrency: uint32(w.tasks[name].concurrency)})
	}
	for _, queue := range w.config.Queues {
		attach.Queues = append(attach.Queues, &droverv1.QueueSubscription{Queue: queue.Name, Weight: uint32(queue.Weight)})
	}
	return &droverv1.WorkRequest{Message: &droverv1.WorkRequest_Attach{Attach: attach}}
}
