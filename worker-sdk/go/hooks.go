package worker

// What a program wants done around the worker's life and around each run.

import (
	"context"
	"errors"
	"fmt"
	"slices"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// OnStart has start done by Run before it takes a job, in the order of the calls: to open what handlers share. An error
// is Run's, and what was started before is stopped.
func (w *Worker) OnStart(start func(context.Context) error) { w.OnStartStop(start, nil) }

// OnStop has stop done by Run once no handler can report any more, in the reverse order of the calls. Its context is
// Run's without the cancellation. An error is Run's, and the others are still done.
func (w *Worker) OnStop(stop func(context.Context) error) { w.OnStartStop(nil, stop) }

// OnStartStop is OnStart and OnStop for what belongs together: stop is done only where start went well.
func (w *Worker) OnStartStop(start, stop func(context.Context) error) {
	w.hooks = append(w.hooks, hook{start, stop})
}

// Around wraps every run, to have what a handler needs (a database session, a span) there before it and gone after it,
// whatever happens: a panic passes through, so release by defer. What around hands to run as the context is the
// handler's. An error that it returns without calling run is the job's failure. The first one given is the outermost.
//
//	w.Around(func(ctx context.Context, run func(context.Context) error) error {
//		session := db.Open()
//		defer session.Close()
//		return run(withSession(ctx, session))
//	})
func (w *Worker) Around(around func(ctx context.Context, run func(context.Context) error) error) {
	w.around = append(w.around, around)
}

type hook struct{ start, stop func(context.Context) error }

// start opens what the hooks open. stop closes what was opened.
func (w *Worker) start(ctx context.Context) (stop func() error, err error) {
	var started []hook
	stop = func() error {
		var problems []error
		for _, hook := range slices.Backward(started) {
			if hook.stop == nil {
				continue
			}
			if err := hook.stop(context.WithoutCancel(ctx)); err != nil {
				problems = append(problems, fmt.Errorf("worker: on stop: %w", err))
			}
		}
		return errors.Join(problems...)
	}
	for _, hook := range w.hooks {
		if hook.start != nil {
			if err := hook.start(ctx); err != nil {
				return nil, errors.Join(fmt.Errorf("worker: on start: %w", err), stop())
			}
		}
		started = append(started, hook)
	}
	return stop, nil
}

// call runs a task's handler with what is around it.
func (w *Worker) call(ctx context.Context, t *task, payload *droverv1.Payload) (*droverv1.Payload, error) {
	if len(w.around) == 0 {
		return t.run(ctx, payload)
	}
	var result *droverv1.Payload
	run := func(ctx context.Context) (err error) {
		result, err = t.run(ctx, payload)
		return err
	}
	for _, around := range slices.Backward(w.around) {
		inner := run
		run = func(ctx context.Context) error { return around(ctx, inner) }
	}
	if err := run(ctx); err != nil {
		return nil, err
	}
	if result == nil {
		result = &droverv1.Payload{Data: jsonNull}
	}
	return result, nil
}
