package worker

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// task is a registered kind of work.
type task struct {
	name string
	// How many of it at a time; 0 = as many as the worker runs.
	concurrency int
	permanent   []func(error) bool
	run         runner
}

// runner is a handler once its types are gone: payload in, result out.
type runner func(context.Context, *droverv1.Payload) (*droverv1.Payload, error)

// A TaskOption says how one task is run; see Handle.
type TaskOption func(*task)

// MaxConcurrent lets the worker run at most n jobs of the task at a time, within its own concurrency.
func MaxConcurrent(n int) TaskOption {
	return func(t *task) { t.concurrency = n }
}

// PermanentErrors makes errors that are one of targets (errors.Is) permanent for the task, as if marked by Permanent.
func PermanentErrors(targets ...error) TaskOption {
	return PermanentWhen(func(err error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	})
}

// PermanentType makes errors of type E (errors.As) permanent for the task, as if marked by Permanent.
func PermanentType[E error]() TaskOption {
	return PermanentWhen(func(err error) bool {
		var target E
		return errors.As(err, &target)
	})
}

// PermanentWhen makes errors of which rule is true permanent for the task, as if marked by Permanent. An error that the
// handler marked itself (RetryAfter, Snooze, Release) is not asked about.
func PermanentWhen(rule func(error) bool) TaskOption {
	return func(t *task) { t.permanent = append(t.permanent, rule) }
}

func (t *task) isPermanent(err error) bool {
	for _, rule := range t.permanent {
		if rule(err) {
			return true
		}
	}
	return false
}

// Handle registers a handler for a task, to be called before Run. The handler stays a plain function that can be
// called directly, for example in a test.
//
// In and Out are encoded as JSON (package encoding/json; numbers decoded into an interface become json.Number, so that
// none loses digits). A Payload, as In or Out, passes bytes and content type as they are, and an In of []byte takes the
// bytes of any other content type. An Out of struct{} is JSON null. A payload that does not fit In is a permanent
// failure, and so is one whose In has a method Validate() error that returns one. A result may have at most 256 KiB.
//
// A bad or doubled name or option is reported by Run.
func Handle[In, Out any](w *Worker, name string, handler func(context.Context, In) (Out, error), options ...TaskOption) {
	t := &task{name: name, run: func(ctx context.Context, payload *droverv1.Payload) (*droverv1.Payload, error) {
		var in In
		err := decode(payload, &in)
		if err == nil {
			err = validate(in, &in)
		}
		if err != nil {
			return nil, Permanent(fmt.Errorf("payload of %s: %w", name, err))
		}
		out, err := handler(ctx, in)
		if err != nil {
			return nil, err
		}
		result, err := encode(out)
		if err != nil {
			return nil, Permanent(fmt.Errorf("result of %s: %w", name, err))
		}
		return result, nil
	}}
	for _, option := range options {
		option(t)
	}
	w.register(t)
}

// A Definition is a task as the code that submits it knows it: drover.Task of the client SDK is one.
type Definition[In, Out any] interface {
	Name() string
	Types() (In, Out)
}

// Serve is Handle for a defined task: that the handler has the task's types is checked when it is compiled.
func Serve[In, Out any](
	w *Worker, definition Definition[In, Out], handler func(context.Context, In) (Out, error), options ...TaskOption,
) {
	Handle(w, definition.Name(), handler, options...)
}

// validate asks a payload that can tell, by a method of its own or of its pointer's, whether it is as it should be.
func validate(payload, pointer any) error {
	if valid, ok := payload.(interface{ Validate() error }); ok {
		return valid.Validate()
	}
	if valid, ok := pointer.(interface{ Validate() error }); ok {
		return valid.Validate()
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

func checkName(what, name string) error {
	if nameForm.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%s %q: a name is 1 to 128 characters of A-Z a-z 0-9 _ . -", what, name)
}
