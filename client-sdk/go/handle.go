package drover

import (
	"context"
	"iter"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// JobHandle is one job, whatever process it was submitted by. Making one asks the broker nothing; each method does, and
// fails with ErrJobNotFound for a job that nobody knows.
type JobHandle struct {
	ID     string
	client *Client
}

// Job is a job by its id.
func (c *Client) Job(id string) JobHandle { return JobHandle{ID: id, client: c} }

// Status is Client.Status.
func (h JobHandle) Status(ctx context.Context, options ...StatusOption) (Job, error) {
	return h.client.Status(ctx, h.ID, options...)
}

// Wait is Client.Wait.
func (h JobHandle) Wait(ctx context.Context) (Job, error) { return h.client.Wait(ctx, h.ID) }

// Watch is Client.Watch.
func (h JobHandle) Watch(ctx context.Context) iter.Seq2[Job, error] { return h.client.Watch(ctx, h.ID) }

// Cancel is Client.Cancel.
func (h JobHandle) Cancel(ctx context.Context, reason string) (Cancellation, State, error) {
	return h.client.Cancel(ctx, h.ID, reason)
}

// Redrive is Client.Redrive.
func (h JobHandle) Redrive(ctx context.Context) (Job, error) { return h.client.Redrive(ctx, h.ID) }

// TaskHandle is a job whose result has a type.
type TaskHandle[Out any] struct {
	JobHandle
	// The job was there already; see Submitted.
	Deduplicated bool
}

// Result waits for the job and returns its result; errors are those of the function Result.
func (h TaskHandle[Out]) Result(ctx context.Context) (Out, error) {
	return Result[Out](ctx, h.client, h.ID)
}

// Redrive makes a failed job ready again, with its counters at zero; ErrNotFailed for any other. Tried once.
func (c *Client) Redrive(ctx context.Context, id string) (Job, error) {
	answer, err := callOnce(ctx, c, 0, c.jobs.Redrive, &droverv1.RedriveRequest{Id: id})
	if err != nil {
		return Job{}, err
	}
	return jobOf(answer.GetJob()), nil
}
