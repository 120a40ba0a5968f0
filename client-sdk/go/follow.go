package drover

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// A StatusOption says what Status is to return.
type StatusOption func(*droverv1.StatusRequest)

// IncludePayload adds the job's payload to its status.
func IncludePayload() StatusOption {
	return func(request *droverv1.StatusRequest) { request.IncludePayload = true }
}

// Status returns a job as it stands; ErrJobNotFound if nobody knows it. What many ask for at a time is asked for as one.
func (c *Client) Status(ctx context.Context, id string, options ...StatusOption) (Job, error) {
	request := &droverv1.StatusRequest{Id: id}
	for _, option := range options {
		option(request)
	}
	if len(options) > 0 || hasMetadata(ctx) {
		answer, err := call(ctx, c, 0, c.jobs.Status, request)
		if err != nil {
			return Job{}, err
		}
		return jobOf(answer.GetJob()), nil
	}
	bounded, cancel := c.bounded(ctx)
	defer cancel()
	for retry := c.newRetry(ctx); ; {
		answer, err := c.looks.do(bounded, id)
		if err == nil {
			err = answer.err
		}
		var failure *Error
		if !errors.As(err, &failure) || !failure.passes() || !retry.again(ctx, failure) {
			return answer.job, err
		}
	}
}

// looked is what one look at a job came to.
type looked struct {
	job Job
	err error
}

// look is the gatherer's one try: a job alone is asked for as it is, several as a batch.
func (c *Client) look(ids []string) []looked {
	ctx, answers := context.Background(), make([]looked, len(ids))
	if len(ids) == 1 {
		answer, err := callOnce(ctx, c, 0, c.jobs.Status, &droverv1.StatusRequest{Id: ids[0]})
		if answers[0].err = err; err == nil {
			answers[0].job = jobOf(answer.GetJob())
		}
		return answers
	}
	answer, err := callOnce(ctx, c, 0, c.jobs.StatusBatch, &droverv1.StatusBatchRequest{Ids: ids})
	if failure := (*Error)(nil); errors.As(err, &failure) && !failure.passes() {
		// It may be the fault of one, and the others know nothing of it.
		half := len(ids) / 2
		return append(c.look(ids[:half]), c.look(ids[half:])...)
	}
	if err == nil && len(answer.GetResults()) != len(ids) {
		err = errUnanswered()
	}
	for i := range answers {
		if answers[i].err = err; err != nil {
			continue
		}
		result := answer.GetResults()[i]
		answers[i].err = itemError(result.GetError())
		if answers[i].err == nil {
			answers[i].job = jobOf(result.GetJob())
		}
	}
	return answers
}

func errUnanswered() error {
	return &Error{Code: codes.Internal, Message: "the broker did not answer for every job"}
}

const (
	// The broker holds a wait for up to a minute.
	longPoll = 30 * time.Second
	// So much before the deadline it is asked once more where the job stands.
	deadlineMargin = 50 * time.Millisecond
)

// Wait returns a job once it has ended, however it ended. If ctx ends before, the error is a *WaitError, and the job
// goes on. A job nobody knows is ErrJobNotFound. Thousands of waits at a time share a few calls.
func (c *Client) Wait(ctx context.Context, id string) (Job, error) {
	if hasMetadata(ctx) {
		return c.waitAlone(ctx, id)
	}
	polling, limited := ctx, false
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		polling, cancel = context.WithDeadline(ctx, deadline.Add(-deadlineMargin))
		defer cancel()
		limited = true
	}
	job, ended, err := c.waits.wait(polling, id, limited)
	if ended {
		return job, err
	}
	cause := ctx.Err()
	if cause == nil {
		cause = context.DeadlineExceeded
		now, err := c.Status(ctx, id)
		switch {
		case err == nil && now.State.Ended():
			return now, nil
		case err == nil:
			job = now
		case errors.Is(err, ErrJobNotFound):
			return Job{}, err
		}
	}
	return Job{}, &WaitError{ID: id, State: job.State, cause: cause}
}

// waitAlone is Wait in calls of its own: the metadata of its context is.
func (c *Client) waitAlone(ctx context.Context, id string) (Job, error) {
	var last State
	for {
		timeout := longPoll
		if deadline, ok := ctx.Deadline(); ok {
			left := time.Until(deadline)
			if last != "" && left < deadlineMargin {
				return Job{}, &WaitError{ID: id, State: last, cause: context.DeadlineExceeded}
			}
			timeout = max(0, min(timeout, left-deadlineMargin))
		}
		request := &droverv1.WaitRequest{Ids: []string{id}, Timeout: durationpb.New(timeout)}
		answer, err := call(ctx, c, longPoll, c.jobs.Wait, request)
		if err == nil && len(answer.GetResults()) != 1 {
			err = errUnanswered()
		}
		if err == nil {
			err = itemError(answer.GetResults()[0].GetError())
		}
		if err == nil {
			job := jobOf(answer.GetResults()[0].GetJob())
			if last = job.State; last.Ended() {
				return job, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return Job{}, &WaitError{ID: id, State: last, cause: ctx.Err()}
		case errors.Is(err, context.DeadlineExceeded): // the broker's clock was a little ahead
			return Job{}, &WaitError{ID: id, State: last, cause: err}
		case err != nil:
			return Job{}, err
		}
	}
}

// askForEnds asks once for jobs, and is answered as soon as one of them has ended.
func (c *Client) askForEnds(ctx context.Context, ids []string) ([]*droverv1.StatusResult, error) {
	request := &droverv1.WaitRequest{
		Ids: ids, Mode: droverv1.WaitMode_WAIT_MODE_ANY, Timeout: durationpb.New(longPoll),
	}
	answer, err := callOnce(ctx, c, longPoll, c.jobs.Wait, request)
	if err == nil && len(answer.GetResults()) != len(ids) {
		err = errUnanswered()
	}
	return answer.GetResults(), err
}

// Result waits for a job and returns its decoded result (see Payload.Decode; an Out of Payload gets it as it is). A job
// that failed is a *FailedError, a cancelled one a *CancelledError, one that keeps no result ErrNoResult, and a ctx that
// ends before the job a *WaitError.
func Result[Out any](ctx context.Context, c *Client, id string) (Out, error) {
	var out Out
	job, err := c.Wait(ctx, id)
	if err != nil {
		return out, err
	}
	switch job.State {
	case Failed:
		return out, &FailedError{job}
	case Cancelled:
		return out, &CancelledError{job}
	}
	if job.Result == nil {
		return out, ErrNoResult
	}
	return out, job.Result.into(&out)
}

// Watch yields a job as it stands and then after every change (some in quick succession are told as one) until it has
// ended. A broken connection is made again; then the job as it stands may be told twice. An error, once no broker could
// be reached for as long as the client repeats calls, is the last thing it yields; so is ErrJobNotFound. Breaking out of
// the loop ends the watch, and so does the end of ctx (with its error).
//
//	for job, err := range client.Watch(ctx, id) { ... }
func (c *Client) Watch(ctx context.Context, id string) iter.Seq2[Job, error] {
	read := func(response *droverv1.WatchResponse) (Job, bool) {
		job := jobOf(response.GetJob())
		return job, job.State.Ended()
	}
	return follow(ctx, c, c.jobs.Watch, &droverv1.WatchRequest{Id: id}, read)
}

// Cancellation is what a cancel did.
type Cancellation string

// What a cancel may have done.
const (
	// CancelDone: the job waited and will not run.
	CancelDone Cancellation = "CANCELLED"
	// CancelRequested: the job runs and its worker is told; without an answer within 10 s it is cancelled.
	CancelRequested Cancellation = "REQUESTED"
	// CancelTooLate: the job had ended; nothing was changed.
	CancelTooLate Cancellation = "ALREADY_FINISHED"
)

// Cancel cancels a job that waits and asks for the end of one that runs. It returns what that did, and the state the
// job was in. The reason is kept in the record, at most 1 KiB. A job nobody knows is ErrJobNotFound.
func (c *Client) Cancel(ctx context.Context, id, reason string) (Cancellation, State, error) {
	answer, err := call(ctx, c, 0, c.jobs.Cancel, &droverv1.CancelRequest{Id: id, Reason: reason})
	if err != nil {
		return "", "", err
	}
	did := strings.TrimPrefix(answer.GetOutcome().String(), "CANCEL_OUTCOME_")
	return Cancellation(did), stateOf(answer.GetPreviousState()), nil
}
