package worker

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// run is one lease and what has become of it here. Fields below the line belong to the ledger and its lock.
type run struct {
	task  *task
	lease *droverv1.Lease
	// Ends the handler's context.
	cancel context.CancelCauseFunc
	ctx    context.Context
	// Somebody asked for the job's cancellation.
	cancelRequested atomic.Bool

	// -----

	// Names the lease in the current session.
	id uint64
	// A handler runs and takes a slot, which may outlast the attempt.
	busy bool
	// Nothing that the handler does counts any more.
	over bool
	// Kept until it is settled.
	outcome *droverv1.Outcome
	// The message that took the outcome up in this session.
	flight *flight
}

var errGoexit = errors.New("the handler ended its goroutine (runtime.Goexit)")

// execute runs the handler in a goroutine of its own and reports how it ended.
func (w *Worker) execute(r *run, payload *droverv1.Payload) {
	started := time.Now()
	job := newJob(r.lease, started)
	job.logger = w.log
	job.inputs = w.inputsOf(r.lease)
	job.report = func(progress *droverv1.Progress) { w.ledger.progress(r, progress) }
	ctx, stop := limited(NewContext(r.ctx, job), job)
	defer stop()
	if !job.HardDeadline.IsZero() {
		hard := job.HardDeadline.Sub(started)
		timer := time.AfterFunc(hard, func() {
			if outcome := timedOut(hard); w.ledger.giveUp(r, outcome) {
				w.logEnd(job, outcome, started)
			}
		})
		defer timer.Stop()
	}
	w.logStart(job)

	end := ending{err: errGoexit}
	// Deferred, so that a panic and runtime.Goexit (which no caller survives) end here as well.
	defer func() {
		if value := recover(); value != nil {
			end.err = panicError{value: value, stack: string(debug.Stack())}
		}
		end.cause = context.Cause(ctx)
		end.cancelRequested = r.cancelRequested.Load()
		outcome := judge(end, r.task.isPermanent)
		if end.err != nil && errors.Is(end.cause, ErrTimeLimit) {
			// The context ends at the same moment as the attempt, and a quick handler is faster than the timer.
			outcome = timedOut(job.HardDeadline.Sub(started))
		}
		if w.ledger.finish(r, outcome) {
			w.logEnd(job, outcome, started)
		}
		r.cancel(nil)
	}()
	end.result, end.err = w.call(ctx, r.task, payload)
}

// limited is ctx with the job's limits: the earlier of the two ends it.
func limited(ctx context.Context, job *Job) (context.Context, context.CancelFunc) {
	limit := earlier(job.SoftDeadline, job.HardDeadline)
	if limit.IsZero() {
		return ctx, func() {}
	}
	cause := ErrTimeLimit
	if limit.Equal(job.SoftDeadline) {
		cause = ErrSoftTimeLimit
	}
	return context.WithDeadlineCause(ctx, limit, cause)
}

func newJob(lease *droverv1.Lease, started time.Time) *Job {
	job := &Job{
		ID:          lease.GetJobId(),
		Task:        lease.GetTask(),
		Queue:       lease.GetQueue(),
		Priority:    int(lease.GetPriority()),
		Attempt:     int(lease.GetAttempt()),
		Failures:    int(lease.GetFailures()),
		MaxAttempts: int(lease.GetMaxAttempts()),
		Labels:      lease.GetLabels(),
		Headers:     lease.GetHeaders(),
		Flow:        lease.GetFlow(),
		FlowMember:  int(lease.GetFlowMember()),
	}
	if at := lease.GetSubmittedAt(); at != nil {
		job.SubmittedAt = at.AsTime()
	}
	if soft := lease.GetSoftTimeLimit(); soft != nil {
		job.SoftDeadline = started.Add(soft.AsDuration())
	}
	if hard := lease.GetHardTimeLimit(); hard != nil {
		job.HardDeadline = started.Add(hard.AsDuration())
	}
	return job
}

// earlier takes the zero time as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (w *Worker) logStart(job *Job) {
	if w.log.Enabled(context.Background(), slog.LevelInfo) {
		w.log.Info("task_started", job.identity()...)
	}
}

// logEnd tells how an attempt ended, never what the job carries.
func (w *Worker) logEnd(job *Job, outcome *droverv1.Outcome, started time.Time) {
	event, level := "task_completed", slog.LevelInfo
	var details []any
	switch report := outcome.GetReport().(type) {
	case *droverv1.Outcome_Failure:
		event, level = "task_failed", slog.LevelWarn
		details = []any{
			slog.String("reason", report.Failure.GetReason().String()[len("FAILURE_REASON_"):]),
			slog.String("error_type", report.Failure.GetType()),
			slog.String("error", report.Failure.GetMessage()),
		}
	case *droverv1.Outcome_Release:
		event = "task_released"
	case *droverv1.Outcome_Snooze:
		event = "task_snoozed"
	case *droverv1.Outcome_Cancelled:
		event = "task_cancelled"
	}
	if !w.log.Enabled(context.Background(), level) {
		return
	}
	duration := float64(time.Since(started).Microseconds()) / 1000
	fields := append(job.identity(), slog.Float64("duration_ms", duration))
	w.log.Log(context.Background(), level, event, append(fields, details...)...)
}
