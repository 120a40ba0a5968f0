package drover

// The trace that a submit belongs to goes into the job's headers, where the worker finds it. Nothing of a tracing library
// is imported here.

import (
	"context"
	"maps"

	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// traced is spec with the trace of ctx among its headers. Those that were set by hand stay.
func (c *Client) traced(ctx context.Context, spec Spec) Spec {
	spec.job = c.tracedJob(ctx, spec.job)
	return spec
}

// tracedJob leaves job alone: it may be submitted once more, by somebody else.
func (c *Client) tracedJob(ctx context.Context, job *droverv1.JobSpec) *droverv1.JobSpec {
	if c.inject == nil {
		return job
	}
	headers := map[string]string{}
	c.inject(ctx, headers)
	maps.Copy(headers, job.Headers)
	job = proto.CloneOf(job)
	job.Headers = headers
	return job
}
