package worker

// What the steps of a flow came to that a job depends on. They travel with its lease as long as they are small together;
// beyond that they are read in pages, over the connection that the worker has, when the handler asks for them.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// FlowInput is what became of a step that this job depends on.
type FlowInput struct {
	JobID string
	// SUCCEEDED; FAILED or CANCELLED only where the flow goes on all the same.
	State string
	// Once SUCCEEDED.
	Result Payload
	// Once FAILED: reason (ERROR, PERMANENT ...), type and message of its error.
	Reason, ErrorType, Message string
}

// Decode decodes the result as a payload is for a handler. An input that did not succeed is an error.
func (i FlowInput) Decode(into any) error {
	if i.State != "SUCCEEDED" {
		return fmt.Errorf("worker: input %s is %s: %s", i.JobID, i.State, i.Message)
	}
	if err := decode(&droverv1.Payload{Data: i.Result.Data, ContentType: i.Result.ContentType}, into); err != nil {
		return fmt.Errorf("worker: input %s: %w", i.JobID, err)
	}
	return nil
}

// Inputs returns what the steps before this one in its flow came to, in the order in which the flow named them; none for
// a job that depends on nothing. Where they are over 256 KiB together they are asked for, for as long as ctx lasts.
func (j *Job) Inputs(ctx context.Context) ([]FlowInput, error) {
	if j.inputs == nil {
		return nil, nil
	}
	return j.inputs(ctx)
}

// Inputs decodes what the steps before this one came to: the results of a group, for the callback of a chord. ctx is the
// handler's. A step that did not succeed, in a flow that goes on all the same, is an error: use Job.Inputs there.
func Inputs[T any](ctx context.Context) ([]T, error) {
	inputs, err := FromContext(ctx).Inputs(ctx)
	if err != nil {
		return nil, err
	}
	values := make([]T, len(inputs))
	for i, input := range inputs {
		if err := input.Decode(&values[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Input decodes what the one step before this one came to, as in a chain. ctx is the handler's.
func Input[T any](ctx context.Context) (T, error) {
	var none T
	values, err := Inputs[T](ctx)
	if err == nil && len(values) != 1 {
		err = fmt.Errorf("worker: %d steps come before this one, not 1", len(values))
	}
	if err != nil {
		return none, err
	}
	return values[0], nil
}

const (
	inputsTimeout = 10 * time.Second
	inputsTries   = 8
)

var errDetached = errors.New("no broker is attached to")

// inputsOf reads the inputs of a lease once it is asked to.
func (w *Worker) inputsOf(lease *droverv1.Lease) func(context.Context) ([]FlowInput, error) {
	return func(ctx context.Context) ([]FlowInput, error) {
		if len(lease.GetInputs()) >= int(lease.GetInputCount()) {
			return flowInputs(nil, lease.GetInputs()), nil
		}
		var inputs []FlowInput
		for next := uint32(0); ; {
			page, err := w.inputsPage(ctx, &droverv1.InputsRequest{JobId: lease.GetJobId(), FirstInput: next})
			if err != nil {
				return nil, fmt.Errorf("worker: inputs of %s: %w", lease.GetJobId(), err)
			}
			inputs = flowInputs(inputs, page.GetInputs())
			if next = page.GetNextInput(); next == 0 {
				return inputs, nil
			}
		}
	}
}

// inputsPage asks whichever broker is attached to, a few times.
func (w *Worker) inputsPage(ctx context.Context, request *droverv1.InputsRequest) (*droverv1.InputsResponse, error) {
	for failures := 1; ; failures++ {
		page, err := w.inputsOnce(ctx, request)
		code := status.Code(err)
		passes := errors.Is(err, errDetached) || code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled
		if err == nil || !passes || failures == inputsTries || ctx.Err() != nil {
			return page, err
		}
		select {
		case <-time.After(firstBackoff + backoffAfter(failures, rand.Float64)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (w *Worker) inputsOnce(ctx context.Context, request *droverv1.InputsRequest) (*droverv1.InputsResponse, error) {
	conn := w.conn.Load()
	if conn == nil {
		return nil, errDetached
	}
	ctx, cancel := context.WithTimeout(w.inNamespace(ctx), inputsTimeout)
	defer cancel()
	return droverv1.NewFlowServiceClient(conn).Inputs(ctx, request, grpc.WaitForReady(true))
}

func flowInputs(inputs []FlowInput, wire []*droverv1.Input) []FlowInput {
	for _, input := range wire {
		inputs = append(inputs, FlowInput{
			JobID:     input.GetJobId(),
			State:     strings.TrimPrefix(input.GetState().String(), "JOB_STATE_"),
			Result:    Payload{Data: input.GetResult().GetData(), ContentType: input.GetResult().GetContentType()},
			Reason:    reasonOf(input.GetFailure()),
			ErrorType: input.GetFailure().GetType(),
			Message:   input.GetFailure().GetMessage(),
		})
	}
	return inputs
}

func reasonOf(failure *droverv1.Failure) string {
	if failure == nil {
		return ""
	}
	return strings.TrimPrefix(failure.GetReason().String(), "FAILURE_REASON_")
}
