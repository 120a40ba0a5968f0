package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Job is the job a handler runs for, as it stood when this attempt began; FromContext returns it.
type Job struct {
	// `<task>~<key>`.
	ID    string
	Task  string
	Queue string
	// 0 to 9, 9 is the most urgent.
	Priority int
	// Number of this execution, from 1, whatever became of those before.
	Attempt int
	// Attempts before this one that ended in a failure, and how many of them end the job.
	Failures    int
	MaxAttempts int
	// When it was submitted, by the broker's clock.
	SubmittedAt time.Time
	// When this run is told to finish, and when it is over, by this machine's clock; zero = never. The earlier of the
	// two is the context's deadline.
	SoftDeadline time.Time
	HardDeadline time.Time
	// Set at submit: labels for people and filters, headers for programs. Not to be changed.
	Labels  map[string]string
	Headers map[string]string

	// The flow it is a step of, and its position there; empty = none.
	Flow       string
	FlowMember int

	logger *slog.Logger
	report func(*droverv1.Progress)
	inputs func(context.Context) ([]FlowInput, error)
}

// maxProgressDetail is what the broker takes as a progress detail, in bytes.
const maxProgressDetail = 4 << 10

type jobKey struct{}

// FromContext returns the job that a handler runs for, given the handler's context or one made from it. Anywhere else,
// as in a test that calls a handler directly, it returns an empty Job whose methods work and report to nobody.
func FromContext(ctx context.Context) *Job {
	if job, ok := ctx.Value(jobKey{}).(*Job); ok {
		return job
	}
	return &Job{}
}

// NewContext returns a context from which FromContext gets job, for tests that call a handler directly.
func NewContext(ctx context.Context, job *Job) context.Context {
	return context.WithValue(ctx, jobKey{}, job)
}

// Logger logs with the job's id, task and attempt.
func (j *Job) Logger() *slog.Logger {
	logger := j.logger
	if logger == nil {
		logger = slog.Default()
	}
	return logger.With(j.identity()...)
}

func (j *Job) identity() []any {
	return []any{slog.String("job_id", j.ID), slog.String("task", j.Task), slog.Int("attempt", j.Attempt)}
}

// Progress tells how far the run has come: value is any finite number, by convention a share of 1, and detail anything
// that is at most 4 KiB as JSON (nil = no detail). Each report replaces the one before; of those in quick
// succession only the last may be sent. An error means that
// value or detail is not as said here, and that nothing was reported.
func (j *Job) Progress(value float64, detail any) error {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return fmt.Errorf("worker: progress must be a finite number, not %v", value)
	}
	return j.progress(&droverv1.Progress{Value: &value}, detail)
}

// ProgressDetail is Progress without a number.
func (j *Job) ProgressDetail(detail any) error {
	if detail == nil {
		return errors.New("worker: progress needs a number or a detail")
	}
	return j.progress(&droverv1.Progress{}, detail)
}

func (j *Job) progress(progress *droverv1.Progress, detail any) error {
	if detail != nil {
		text, err := json.Marshal(detail)
		if err != nil {
			return fmt.Errorf("worker: progress detail: %w", err)
		}
		if len(text) > maxProgressDetail {
			return fmt.Errorf("worker: progress detail has %d bytes as JSON, at most %d are taken", len(text), maxProgressDetail)
		}
		progress.Detail = text
	}
	if j.report != nil {
		j.report(progress)
	}
	return nil
}
