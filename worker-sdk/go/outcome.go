package worker

// What the end of a handler means for its lease, decided in one place: a plain error, a panic and a marked error all
// come through judge.

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// What the broker keeps of a failure, in bytes.
const (
	maxErrorType    = 256
	maxErrorMessage = 4 << 10
	maxErrorStack   = 8 << 10
)

// ending is how a handler ended, and under what circumstances.
type ending struct {
	result *droverv1.Payload
	err    error
	// Why its context had ended, if it had.
	cause error
	// Somebody asked for the job's cancellation.
	cancelRequested bool
}

// judge returns the outcome to report. What the handler says expressly counts more than the task's rules, and a
// cancellation more than any error.
func judge(end ending, isPermanent func(error) bool) (outcome *droverv1.Outcome) {
	defer func() {
		// An Error method or a rule of the task panicked; that is the handler's failure too, not the worker's end.
		if value := recover(); value != nil {
			end.err = panicError{value: fmt.Sprintf("while describing a %T: %v", end.err, value), stack: string(debug.Stack())}
			outcome = failed(describe(end, droverv1.FailureReason_FAILURE_REASON_ERROR))
		}
	}()
	var (
		snooze    snoozeError
		release   releaseError
		retry     retryError
		permanent permanentError
	)
	err := end.err
	switch {
	case err == nil:
		return succeeded(end.result)
	case end.cancelRequested:
		return cancelled()
	case errors.As(err, &snooze):
		return &droverv1.Outcome{Report: &droverv1.Outcome_Snooze{Snooze: &droverv1.Snooze{Delay: durationpb.New(snooze.delay)}}}
	case errors.As(err, &release):
		return released()
	case errors.As(err, &permanent):
		return failed(describe(end, droverv1.FailureReason_FAILURE_REASON_PERMANENT))
	case errors.As(err, &retry):
		failure := describe(end, droverv1.FailureReason_FAILURE_REASON_ERROR)
		failure.RetryAfter = durationpb.New(retry.after)
		return failed(failure)
	case errors.Is(end.cause, ErrStopping):
		return released()
	case isPermanent(err):
		return failed(describe(end, droverv1.FailureReason_FAILURE_REASON_PERMANENT))
	default:
		return failed(describe(end, droverv1.FailureReason_FAILURE_REASON_ERROR))
	}
}

func succeeded(result *droverv1.Payload) *droverv1.Outcome {
	if len(result.GetData()) > maxResult {
		// One byte too many is enough for the broker to fail the job as RESULT_TOO_LARGE; all of it could break the
		// session, which takes no message above gRPC's limit.
		result = &droverv1.Payload{Data: result.Data[:maxResult+1], ContentType: result.ContentType}
	}
	return &droverv1.Outcome{Report: &droverv1.Outcome_Success{Success: &droverv1.Success{Result: result}}}
}

func released() *droverv1.Outcome {
	return &droverv1.Outcome{Report: &droverv1.Outcome_Release{Release: &droverv1.Release{}}}
}

func cancelled() *droverv1.Outcome {
	return &droverv1.Outcome{Report: &droverv1.Outcome_Cancelled{Cancelled: &droverv1.Cancelled{}}}
}

func failed(failure *droverv1.FailureReport) *droverv1.Outcome {
	return &droverv1.Outcome{Report: &droverv1.Outcome_Failure{Failure: failure}}
}

func timedOut(limit time.Duration) *droverv1.Outcome {
	return failed(&droverv1.FailureReport{
		Reason:  droverv1.FailureReason_FAILURE_REASON_TIME_LIMIT,
		Type:    "TimeLimit",
		Message: fmt.Sprintf("the run took longer than its hard time limit of %v", limit),
	})
}

func describe(end ending, reason droverv1.FailureReason) *droverv1.FailureReport {
	message := end.err.Error()
	if end.cause != nil && isContextError(end.err) {
		message += ": " + end.cause.Error()
	}
	return &droverv1.FailureReport{
		Reason:  reason,
		Type:    clean(typeOf(end.err), maxErrorType),
		Message: clean(message, maxErrorMessage),
		Stack:   clean(stackOf(end.err), maxErrorStack),
	}
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

var wrapType = fmt.Sprintf("%T", fmt.Errorf("%w", errors.New("")))

// typeOf names the error's type as Go does. Marks of this package and wrapping by fmt.Errorf say nothing about the kind
// of error, so it is what they wrap that is named.
func typeOf(err error) string {
	for {
		name := fmt.Sprintf("%T", err)
		switch err.(type) {
		case permanentError, retryError:
		case panicError:
			if errors.Unwrap(err) == nil {
				return "panic"
			}
		default:
			if name != wrapType {
				return name
			}
		}
		err = errors.Unwrap(err)
		if err == nil {
			return name
		}
	}
}

// panicError is a handler's panic on its way to becoming a failure.
type panicError struct {
	value any
	stack string
}

func (e panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func (e panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// stackOf is a panic's stack, or what an error adds under %+v (where libraries that record stacks print them).
func stackOf(err error) string {
	var panicked panicError
	if errors.As(err, &panicked) {
		return panicked.stack
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if _, ok := err.(fmt.Formatter); ok {
			return fmt.Sprintf("%+v", err)
		}
	}
	return ""
}

// clean makes text fit to be sent: valid UTF-8 (protobuf refuses anything else) of at most limit bytes, cut in the
// middle where it is longer.
func clean(text string, limit int) string {
	const gap = "\n...\n"
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	head, tail := (limit-len(gap))/2, len(text)-(limit-len(gap))/2
	for !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + gap + text[tail:]
}
