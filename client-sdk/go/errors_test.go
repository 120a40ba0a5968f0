package drover

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

func refusal(t *testing.T, code codes.Code, message string, details ...protoadapt.MessageV1) error {
	t.Helper()
	withDetails, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return withDetails.Err()
}

func TestAnErrorSaysWhatABrokerSaid(t *testing.T) {
	err := fmt.Errorf("submitting: %w", errorOf(t.Context(), refusal(t, codes.InvalidArgument, "bad job",
		&errdetails.ErrorInfo{Reason: "INVALID_ARGUMENT", Domain: "drover.dev"},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "job.task", Description: "is required"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(2 * time.Second)},
	)))
	var got *Error
	if !errors.As(err, &got) {
		t.Fatal("no *Error")
	}
	if got.Code != codes.InvalidArgument || got.RetryAfter != 2*time.Second || !reflect.DeepEqual(got.Fields, []Field{{"job.task", "is required"}}) {
		t.Errorf("got %+v", got)
	}
	if want := "submitting: drover: INVALID_ARGUMENT: bad job (job.task: is required)"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("for gRPC it is %v", status.Code(err))
	}
}

func TestErrorsAreToldApartByTheirReason(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	notFound := itemError(&droverv1.ItemStatus{Code: int32(codes.NotFound), Reason: "JOB_NOT_FOUND"})
	noReason := errorOf(t.Context(), status.Error(codes.Unavailable, "connection refused"))
	for _, test := range []struct {
		rule   string
		err    error
		target error
		want   bool
	}{
		{"the same reason is the same error", notFound, ErrJobNotFound, true},
		{"another reason is another", notFound, ErrJobExists, false},
		{"no reason is none of them", noReason, ErrStoreUnavailable, false},
		{"a batch is each of its errors", &BatchError{[]error{noReason, notFound}}, ErrJobNotFound, true},
		{"an ended context shows", errorOf(ended, status.Error(codes.Canceled, "")), context.Canceled, true},
		{"a deadline the broker saw first is the deadline", errorOf(t.Context(), status.Error(codes.DeadlineExceeded, "")), context.DeadlineExceeded, true},
		{"a wait shows why it ended", &WaitError{cause: context.DeadlineExceeded}, context.DeadlineExceeded, true},
	} {
		t.Run(test.rule, func(t *testing.T) {
			if got := errors.Is(test.err, test.target); got != test.want {
				t.Errorf("%v is %v: %v", test.err, test.target, got)
			}
		})
	}
	if err := itemError(&droverv1.ItemStatus{}); err != nil {
		t.Errorf("code 0 is an error: %v", err)
	}
}

func TestErrorsOfJobsNameTheJob(t *testing.T) {
	job := Job{ID: "mail~1", Failure: &Failure{Reason: "PERMANENT", Type: "Bounce", Message: "no such user"}}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&FailedError{job}, "drover: job mail~1 failed: PERMANENT: Bounce: no such user"},
		{&CancelledError{job}, "drover: job mail~1 was cancelled"},
		{&WaitError{"mail~1", Running, context.DeadlineExceeded}, "drover: job mail~1 is RUNNING: context deadline exceeded"},
		{&WaitError{"mail~1", "", context.Canceled}, "drover: job mail~1 is not known to have ended: context canceled"},
	} {
		if test.err.Error() != test.want {
			t.Errorf("got %q, want %q", test.err, test.want)
		}
	}
}
