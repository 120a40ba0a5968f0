package drover

import (
	"context"
	"maps"

	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Tracer puts the trace that a submit belongs to into the job's headers, where the worker finds it. This package imports
// no tracing of its own; with OpenTelemetry a Tracer is a few lines (see the README).
type Tracer interface {
	// Inject adds what its propagation format says (W3C: traceparent, tracestate) to the headers of a job that is being
	// submitted.
	Inject(ctx context.Context, headers map[string]string)
}

// traced is spec with the trace of ctx among its headers. Those that were set by hand stay.
func (c *Client) traced(ctx context.Context, spec Spec) Spec {
	spec.job = c.tracedJob(ctx, spec.job)
	return spec
}

// tracedJob leaves job alone: it may be submitted once more, by somebody else.
func (c *Client) tracedJob(ctx context.Context, job *droverv1.JobSpec) *droverv1.JobSpec {
	if c.tracer == nil {
		return job
	}
	headers := map[string]string{}
	c.tracer.Inject(ctx, headers)
	maps.Copy(headers, job.Headers)
	job = proto.CloneOf(job)
	job.Headers = headers
	return job
}
