package drover

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Spec is a job to be submitted. It has its key from the beginning, so submitting the same Spec again is safe.
type Spec struct {
	job *droverv1.JobSpec
	// Refuse a key that is taken.
	reject bool
	// Of a step in a flow.
	onFailure OnFailure
	stepName  string
	err       error
}

// An Option says something about a job to be submitted. What no option says is as the defaults named at each have it.
type Option func(*Spec)

// NewSpec describes a job of a task. The payload is encoded as JSON (package encoding/json), normally a struct or map:
// the task's named arguments. A Payload is sent as it is. At most 512 KiB. A mistake here is reported by the submit.
func NewSpec(task string, payload any, options ...Option) Spec {
	spec := specWithoutKey(task, payload, options)
	if spec.job.Key == "" {
		key, err := uuid.NewV7()
		if err != nil {
			spec.fail("key: %w", err)
		}
		spec.job.Key = key.String()
	}
	return spec
}

func specWithoutKey(task string, payload any, options []Option) Spec {
	spec := Spec{job: &droverv1.JobSpec{Task: task}}
	data, err := encode(payload)
	if err != nil {
		spec.fail("payload of %s: %w", task, err)
	}
	spec.job.Payload = data
	for _, option := range options {
		option(&spec)
	}
	return spec
}

// ID is the id the job will have.
func (s Spec) ID() string { return s.job.GetTask() + "~" + s.job.GetKey() }

func (s *Spec) fail(format string, details ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("drover: "+format, details...)
	}
}

// number takes what the wire has no form for, leaving all other bounds to the broker.
func (s *Spec) number(what string, n int) *uint32 {
	if n < 0 || n > 1<<31 {
		s.fail("%s: %d is out of range", what, n)
	}
	value := uint32(n)
	return &value
}

func (s *Spec) retry() *droverv1.RetryPolicy {
	if s.job.Retry == nil {
		s.job.Retry = &droverv1.RetryPolicy{}
	}
	return s.job.Retry
}

// Key names the job inside its task: of one task and key there is one job, for as long as its record is kept, and a
// second submit answers with it (or, with RejectExisting, with ErrJobExists). 1 to 128 characters of
// `A-Z a-z 0-9 _ . -`. Default: a new UUIDv7.
func Key(key string) Option { return func(s *Spec) { s.job.Key = key } }

// RejectExisting makes a submit fail with ErrJobExists when the task has a job of that key. Such a submit is not
// repeated when its answer is lost, for the answer to the second could then be about the first.
func RejectExisting() Option { return func(s *Spec) { s.reject = true } }

// Queue is the line the job waits in. Default: `default`.
func Queue(name string) Option { return func(s *Spec) { s.job.Queue = &name } }

// Priority is 0 to 9, 9 is the most urgent, strict inside a queue. Default 5.
func Priority(priority int) Option {
	return func(s *Spec) { s.job.Priority = s.number("priority", priority) }
}

// Delay is the wait before the first run: 0 to 10 years. Not together with RunAt.
func Delay(d time.Duration) Option { return func(s *Spec) { s.job.Delay = durationpb.New(d) } }

// RunAt is the time of the first run, never earlier; a time in the past means now.
func RunAt(at time.Time) Option { return func(s *Spec) { s.job.RunAt = timestamppb.New(at) } }

// StartBy makes the job fail as EXPIRED if its first run has not begun by then.
func StartBy(at time.Time) Option { return func(s *Spec) { s.job.StartBy = timestamppb.New(at) } }

// MaxAttempts is how many runs may end in a failure before the job fails for good: 1 to 1,000, default 4.
func MaxAttempts(n int) Option {
	return func(s *Spec) { s.retry().MaxAttempts = s.number("max attempts", n) }
}

// Backoff is the wait after the first failure (0 to 30 days, default 1 s), what it is multiplied by after each further
// one (1 to 100, default 2), and its upper bound (up to 30 days, default 10 min).
func Backoff(initial time.Duration, factor float64, bound time.Duration) Option {
	return func(s *Spec) {
		s.retry().InitialDelay, s.retry().Factor, s.retry().MaxDelay = durationpb.New(initial), &factor, durationpb.New(bound)
	}
}

// Jitter is the share by which each such wait is spread at random around its value: 0 to 1, default 0.1.
func Jitter(share float64) Option { return func(s *Spec) { s.retry().Jitter = &share } }

// MaxCrashes is how many runs may end without a report (worker or broker gone) before the job fails: 0 to 100, default
// 3. With 0 the job is run at most once: never again when it is not known how the run ended.
func MaxCrashes(n int) Option {
	return func(s *Spec) { s.retry().MaxCrashes = s.number("max crashes", n) }
}

// SoftTimeLimit is when a run is told to finish: 1 ms to 30 days, at most the hard limit. Default: never.
func SoftTimeLimit(d time.Duration) Option {
	return func(s *Spec) { s.job.SoftTimeLimit = durationpb.New(d) }
}

// HardTimeLimit is when a run is over and counts as a failure: 1 ms to 30 days. Default: never.
func HardTimeLimit(d time.Duration) Option {
	return func(s *Spec) { s.job.HardTimeLimit = durationpb.New(d) }
}

// Retention is how long the job's record is kept after its end: 10 min to 365 days. Default: as its queue has it.
// 0 keeps no result, and the record for 10 minutes only, in which its key is taken.
func Retention(d time.Duration) Option {
	return func(s *Spec) { s.job.ResultRetention = durationpb.New(d) }
}

// Labels are for people and filters: at most 16, values of at most 256 bytes.
func Labels(labels map[string]string) Option { return func(s *Spec) { s.job.Labels = labels } }

// Headers are for programs, handed to the worker as they are: at most 64, together at most 8 KiB.
func Headers(headers map[string]string) Option { return func(s *Spec) { s.job.Headers = headers } }

// ConcurrencyKey names what (a customer, an account) only so many jobs run for at a time; others flow past them. How
// many is set for the task or the queue, else 1.
func ConcurrencyKey(key string) Option { return func(s *Spec) { s.job.ConcurrencyKey = key } }

// UniqueFor lets the task have at most one job of this key, apart from its own Key: for the period from the submit on
// (1 s to 30 days), or with 0 until the job has ended. A submit that finds one is answered with it.
func UniqueFor(key string, period time.Duration) Option {
	return func(s *Spec) {
		s.job.Unique = &droverv1.UniqueFor{Key: key}
		if period != 0 {
			s.job.Unique.Period = durationpb.New(period)
		}
	}
}

// Debounce lets a submit replace the waiting job of the same Key, which it needs, and start its wait anew: the job runs
// wait after the last submit (1 ms to 30 days), and at most maxWait after the first (0 = no bound).
func Debounce(wait, maxWait time.Duration) Option {
	return func(s *Spec) {
		s.job.Debounce = &droverv1.Debounce{Wait: durationpb.New(wait)}
		if maxWait != 0 {
			s.job.Debounce.MaxWait = durationpb.New(maxWait)
		}
	}
}

// Retries is MaxAttempts less the first run: 3 retries are four runs.
func Retries(n int) Option { return MaxAttempts(n + 1) }

// withoutKey is the job of a spec for those who make its key themselves.
func withoutKey(spec Spec) *droverv1.JobSpec {
	job := proto.CloneOf(spec.job)
	job.Key = ""
	return job
}
