package drover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Errors to compare with by errors.Is; an *Error is one of them when its Reason is.
var (
	// ErrJobNotFound: a job that was never submitted, or whose record aged out.
	ErrJobNotFound = &Error{Code: codes.NotFound, Reason: "JOB_NOT_FOUND"}
	// ErrJobExists: with RejectExisting, the task has a job of that key already.
	ErrJobExists = &Error{Code: codes.AlreadyExists, Reason: "JOB_EXISTS"}
	// ErrInvalidArgument: something is over a limit or malformed; Fields names it.
	ErrInvalidArgument = &Error{Code: codes.InvalidArgument, Reason: "INVALID_ARGUMENT"}
	// ErrFlowNotFound: a flow that was never submitted, or has aged out.
	ErrFlowNotFound = &Error{Code: codes.NotFound, Reason: "FLOW_NOT_FOUND"}
	// ErrQueueNotFound: a queue that nothing was ever submitted to.
	ErrQueueNotFound = &Error{Code: codes.NotFound, Reason: "QUEUE_NOT_FOUND"}
	// ErrScheduleNotFound: nobody declared a schedule of that name.
	ErrScheduleNotFound = &Error{Code: codes.NotFound, Reason: "SCHEDULE_NOT_FOUND"}
	// ErrNotFailed: only what has failed can be redriven.
	ErrNotFailed = &Error{Code: codes.FailedPrecondition, Reason: "NOT_FAILED"}
	// ErrNotWaiting: only a job that waits can be moved.
	ErrNotWaiting = &Error{Code: codes.FailedPrecondition, Reason: "NOT_WAITING"}
	// ErrOwnedByAnother: another owner declared a schedule or route of that name.
	ErrOwnedByAnother = &Error{Code: codes.AlreadyExists, Reason: "OWNED_BY_ANOTHER"}
	// ErrStoreUnavailable: the broker could not reach its store.
	ErrStoreUnavailable = &Error{Code: codes.Unavailable, Reason: "STORE_UNAVAILABLE"}
)

// ErrNoResult is what Result returns for a job that succeeded and keeps no result (Retention(0)).
var ErrNoResult = errors.New("drover: the job keeps no result")

// Error is a broker's answer that it did not do what was asked, or gRPC's that no broker was reached; get at it with
// errors.As.
type Error struct {
	Code codes.Code
	// What it is for a program, for example JOB_NOT_FOUND; empty when the error is not a broker's own.
	Reason  string
	Message string
	// With InvalidArgument: what was wrong.
	Fields []Field
	// When it may help to try again; 0 = not known.
	RetryAfter time.Duration

	cause error
}

// Field is a mistake in a request.
type Field struct {
	// As in `job.payload.data`.
	Name string
	// The limit, and what to do about it.
	Description string
}

func (e *Error) Error() string {
	text := "drover: " + e.Message
	if e.Reason != "" {
		text = fmt.Sprintf("drover: %s: %s", e.Reason, e.Message)
	}
	var fields []string
	for _, field := range e.Fields {
		fields = append(fields, field.Name+": "+field.Description)
	}
	if len(fields) > 0 {
		text += " (" + strings.Join(fields, "; ") + ")"
	}
	return text
}

// Is makes errors.Is compare by Reason, and take a deadline that the broker saw for the context's.
func (e *Error) Is(target error) bool {
	if target == context.DeadlineExceeded {
		return e.Code == codes.DeadlineExceeded
	}
	other, ok := target.(*Error)
	return ok && other.Reason != "" && other.Reason == e.Reason
}

// Unwrap returns what is underneath: gRPC's error, and the context's once that has ended.
func (e *Error) Unwrap() error { return e.cause }

// errorOf takes a gRPC error apart. If ctx has ended, the error is the context's, too.
func errorOf(ctx context.Context, err error) *Error {
	from := status.Convert(err)
	e := &Error{Code: from.Code(), Message: from.Message(), cause: errors.Join(ctx.Err(), err)}
	for _, detail := range from.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, field := range detail.GetFieldViolations() {
				e.Fields = append(e.Fields, Field{field.GetField(), field.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return e
}

// passes tells whether the same call may be done a little later, by another broker or by the same one.
func (e *Error) passes() bool { return e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded }

// itemError is nil for an item that was done.
func itemError(item *droverv1.ItemStatus) error {
	if item == nil || item.GetCode() == int32(codes.OK) {
		return nil
	}
	e := &Error{Code: codes.Code(item.GetCode()), Reason: item.GetReason(), Message: item.GetMessage()}
	for _, violation := range item.GetViolations() {
		e.Fields = append(e.Fields, Field{violation.GetField(), violation.GetDescription()})
	}
	return e
}

// FailedError is what Result returns for a job that failed for good.
type FailedError struct{ Job Job }

func (e *FailedError) Error() string {
	text := fmt.Sprintf("drover: job %s failed", e.Job.ID)
	if failure := e.Job.Failure; failure != nil {
		text += fmt.Sprintf(": %s: %s: %s", failure.Reason, failure.Type, failure.Message)
	}
	return text
}

// CancelledError is what Result returns for a job that was cancelled.
type CancelledError struct{ Job Job }

func (e *CancelledError) Error() string { return fmt.Sprintf("drover: job %s was cancelled", e.Job.ID) }

// WaitError is what Wait and Result return when the context ends before the job does. The job goes on.
// errors.Is with context.DeadlineExceeded or context.Canceled holds.
type WaitError struct {
	ID string
	// As last heard; empty if nothing was.
	State State
	cause error
}

func (e *WaitError) Error() string {
	state := string(e.State)
	if state == "" {
		state = "not known to have ended"
	}
	return fmt.Sprintf("drover: job %s is %s: %v", e.ID, state, e.cause)
}

// Unwrap returns the context's error.
func (e *WaitError) Unwrap() error { return e.cause }

// FlowFailedError is what FlowResults returns for a flow that failed or was cancelled.
type FlowFailedError struct {
	Flow Flow
	// Of the last members, in their order: those that succeeded have their results.
	Outcomes []FlowMember
}

func (e *FlowFailedError) Error() string {
	text := fmt.Sprintf("drover: flow %s is %s", e.Flow.Key, e.Flow.State)
	if e.Flow.FailedMember != nil {
		text += fmt.Sprintf(": member %d", *e.Flow.FailedMember)
	}
	if failure := e.Flow.Failure; failure != nil {
		text += fmt.Sprintf(": %s: %s: %s", failure.Reason, failure.Type, failure.Message)
	}
	return text
}

// FlowWaitError is what the waits for a flow return when the context ends before the flow does. The flow goes on.
// errors.Is with context.DeadlineExceeded or context.Canceled holds.
type FlowWaitError struct {
	Key string
	// As last heard; empty if nothing was.
	State State
	cause error
}

func (e *FlowWaitError) Error() string {
	return fmt.Sprintf("drover: flow %s has not ended: %v", e.Key, e.cause)
}

// Unwrap returns the context's error.
func (e *FlowWaitError) Unwrap() error { return e.cause }
