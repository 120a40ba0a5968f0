package drover

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Submitted is the answer to a submit.
type Submitted struct {
	// `<task>~<key>`.
	ID string
	// The job was there already: from an earlier submit of its key, or from this one, repeated after a lost answer.
	Deduplicated bool
	// Scheduled or Ready for a new job, what it is by now for one that was there.
	State State
	// In a batch: why this job was not stored. Nil = it was.
	Err error
}

// Submit stores a job and returns once it is durable. It may take as long as no broker can be reached, up to ctx's
// deadline (or Config.RetryFor without one); after an error of code Unavailable or DeadlineExceeded the job may be
// stored all the same, and repeating the submit with the same Key or Spec is safe.
func (c *Client) Submit(ctx context.Context, task string, payload any, options ...Option) (Submitted, error) {
	return c.SubmitSpec(ctx, NewSpec(task, payload, options...))
}

// SubmitSpec is Submit for a job described before.
func (c *Client) SubmitSpec(ctx context.Context, spec Spec) (Submitted, error) {
	if spec.err != nil {
		return Submitted{}, spec.err
	}
	spec = c.traced(ctx, spec)
	if spec.reject || hasMetadata(ctx) {
		return c.submitAlone(ctx, spec)
	}
	bounded, cancel := c.bounded(ctx)
	defer cancel()
	for retry := c.newRetry(ctx); ; {
		answer, err := c.submits.do(bounded, spec)
		if err != nil {
			answer.Err = err
		}
		var failure *Error
		if !errors.As(answer.Err, &failure) || !failure.passes() || !retry.again(ctx, failure) {
			return answer, answer.Err
		}
	}
}

// hasMetadata tells that a submit is not to share a call: the metadata of its context is its own.
func hasMetadata(ctx context.Context) bool {
	_, own := metadata.FromOutgoingContext(ctx)
	return own
}

func (c *Client) submitAlone(ctx context.Context, spec Spec) (Submitted, error) {
	request := &droverv1.SubmitRequest{Job: spec.job, OnConflict: onConflict(spec)}
	submit := call[*droverv1.SubmitRequest, *droverv1.SubmitResponse]
	if spec.reject {
		submit = callOnce
	}
	answer, err := submit(ctx, c, 0, c.jobs.Submit, request)
	if err != nil {
		return Submitted{}, err
	}
	return submittedOf(answer), nil
}

func submittedOf(answer *droverv1.SubmitResponse) Submitted {
	return Submitted{ID: answer.GetId(), Deduplicated: answer.GetDeduplicated(), State: stateOf(answer.GetState())}
}

// store is the gatherer's one try: a job alone goes as it is, several as a batch.
func (c *Client) store(specs []Spec) []Submitted {
	answers := make([]Submitted, len(specs))
	if len(specs) == 1 {
		request := &droverv1.SubmitRequest{Job: specs[0].job}
		if answer, err := callOnce(context.Background(), c, 0, c.jobs.Submit, request); err != nil {
			answers[0].Err = err
		} else {
			answers[0] = submittedOf(answer)
		}
		return answers
	}
	_ = c.submitTogether(context.Background(), specs, positions(specs), answers) // put down in the answers
	if refusedAsAWhole(answers) {
		// It may be the fault of one, and the others know nothing of it.
		half := len(specs) / 2
		return append(c.store(specs[:half]), c.store(specs[half:])...)
	}
	return answers
}

// together is how many of the specs go in one gathered call.
func together(specs []Spec) int { return batchSize(specs, positions(specs)) }

func positions(specs []Spec) []int {
	all := make([]int, len(specs))
	for i := range all {
		all[i] = i
	}
	return all
}

// refusedAsAWhole tells that a call failed as such, by an error that all its jobs share and that time will not mend.
func refusedAsAWhole(answers []Submitted) bool {
	failure, ok := answers[0].Err.(*Error)
	return ok && !failure.passes() && answers[len(answers)-1].Err == error(failure)
}

// SubmitBatch stores any number of jobs, in calls of up to 1,000, and answers in their order. Each job is stored or not
// by itself: if some are not, their Err says why and the error is a *BatchError.
func (c *Client) SubmitBatch(ctx context.Context, specs []Spec) ([]Submitted, error) {
	specs = slices.Clone(specs)
	answers := make([]Submitted, len(specs))
	pending := make([]int, 0, len(specs))
	for i, spec := range specs {
		answers[i].Err = spec.err
		if spec.err == nil {
			specs[i] = c.traced(ctx, spec)
			pending = append(pending, i)
		}
	}
	for retry := c.newRetry(ctx); len(pending) > 0; {
		c.submitRound(ctx, specs, pending, answers)
		tried := len(pending)
		// Only what no broker could do now is tried again, and only what is safe to repeat.
		var failure *Error
		pending = slices.DeleteFunc(pending, func(i int) bool {
			unavailable := &Error{}
			if specs[i].reject || !errors.As(answers[i].Err, &unavailable) || !unavailable.passes() {
				return true
			}
			failure = unavailable
			return false
		})
		if len(pending) < tried {
			retry = c.newRetry(ctx) // the time counts from when brokers failed
		}
		if len(pending) > 0 && !retry.again(ctx, failure) {
			break
		}
	}
	failed := &BatchError{}
	for _, answer := range answers {
		if answer.Err != nil {
			failed.Errors = append(failed.Errors, answer.Err)
		}
	}
	if len(failed.Errors) > 0 {
		return answers, failed
	}
	return answers, nil
}

// submitRound tries each of the pending jobs once. Where no broker answered for some, those behind them fail with them: each
// call to a broker that hangs takes its time.
func (c *Client) submitRound(ctx context.Context, specs []Spec, pending []int, answers []Submitted) {
	for len(pending) > 0 {
		n := batchSize(specs, pending)
		err := c.submitTogether(ctx, specs, pending[:n], answers)
		pending = pending[n:]
		var failure *Error
		if errors.As(err, &failure) && failure.passes() {
			for _, i := range pending {
				answers[i] = Submitted{Err: err}
			}
			return
		}
	}
}

// BatchError tells that some jobs of a batch were not stored. errors.Is and errors.As look at each of its errors.
type BatchError struct{ Errors []error }

func (e *BatchError) Error() string {
	return fmt.Sprintf("drover: %d jobs were not stored, the first because: %v", len(e.Errors), e.Errors[0])
}

// Unwrap returns the errors of the jobs.
func (e *BatchError) Unwrap() []error { return e.Errors }

const (
	maxBatch = 1000
	// Under gRPC's 4 MiB, in bytes.
	maxBatchBytes = 7 << 19
)

// batchSize is how many of the pending jobs go in the next call.
func batchSize(specs []Spec, pending []int) int {
	size := 0
	for n, i := range pending {
		size += proto.Size(specs[i].job) + 8
		// What is done on a conflict is said once for a call.
		if n > 0 && (n == maxBatch || size > maxBatchBytes || specs[i].reject != specs[pending[0]].reject) {
			return n
		}
	}
	return len(pending)
}

// submitTogether makes one call for specs[batch] and puts down its answers. It returns the error of the call itself.
func (c *Client) submitTogether(ctx context.Context, specs []Spec, batch []int, answers []Submitted) error {
	request := &droverv1.SubmitBatchRequest{OnConflict: onConflict(specs[batch[0]])}
	for _, i := range batch {
		request.Jobs = append(request.Jobs, specs[i].job)
	}
	response, err := callOnce(ctx, c, 0, c.jobs.SubmitBatch, request)
	if err == nil && len(response.GetResults()) != len(batch) {
		err = &Error{Code: codes.Internal, Message: "the broker did not answer for every job"}
	}
	for n, i := range batch {
		if err != nil {
			answers[i] = Submitted{Err: err}
			continue
		}
		result := response.GetResults()[n]
		answers[i] = Submitted{
			ID:           result.GetId(),
			Deduplicated: result.GetDeduplicated(),
			State:        stateOf(result.GetState()),
			Err:          itemError(result.GetError()),
		}
	}
	return err
}

func onConflict(spec Spec) droverv1.ConflictPolicy {
	if spec.reject {
		return droverv1.ConflictPolicy_CONFLICT_POLICY_REJECT
	}
	return droverv1.ConflictPolicy_CONFLICT_POLICY_RETURN_EXISTING
}
