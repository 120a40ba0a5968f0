package drover

// Flows: submitted as a whole, and then one handle for all of it.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Flow is a flow as it stands: Running, Succeeded, Failed or Cancelled. Times are the broker's, zero = not (yet).
type Flow struct {
	Key         string            `json:"key"`
	Name        string            `json:"name,omitempty"`
	State       State             `json:"state"`
	Counts      FlowCounts        `json:"counts"`
	SubmittedAt time.Time         `json:"submitted_at,omitzero"`
	FinishedAt  time.Time         `json:"finished_at,omitzero"`
	Deadline    time.Time         `json:"deadline,omitzero"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Position of the member that failed first; nil while none has.
	FailedMember *int     `json:"failed_member,omitempty"`
	Failure      *Failure `json:"failure,omitempty"`
}

// FlowCounts is how many members are in which state.
type FlowCounts struct {
	Total   int `json:"total"`
	Blocked int `json:"blocked"`
	// Wait for a time or a worker, or run.
	Open      int `json:"open"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
}

// FlowMember is a step in its flow.
type FlowMember struct {
	// In the flow, from 0.
	Position  int    `json:"position"`
	JobID     string `json:"job_id"`
	Name      string `json:"name,omitempty"`
	State     State  `json:"state"`
	DependsOn []int  `json:"depends_on,omitempty"`
	// Once Succeeded, where results were asked for.
	Result  *Payload `json:"result,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
}

// A FlowOption says something about a flow to be submitted.
type FlowOption func(*droverv1.FlowSpec)

// FlowKey names the flow: a second submit of it gives the same flow. 1 to 100 characters of a name. Default: a UUIDv7.
func FlowKey(key string) FlowOption { return func(f *droverv1.FlowSpec) { f.Key = key } }

// FlowName says what kind of flow it is, for people and filters.
func FlowName(name string) FlowOption { return func(f *droverv1.FlowSpec) { f.Name = name } }

// FlowDeadline is when what has not ended is cancelled, and the flow Failed.
func FlowDeadline(at time.Time) FlowOption {
	return func(f *droverv1.FlowSpec) { f.Deadline = timestamppb.New(at) }
}

// FlowLabels are for people and filters: at most 16, values of at most 256 bytes.
func FlowLabels(labels map[string]string) FlowOption {
	return func(f *droverv1.FlowSpec) { f.Labels = labels }
}

// SubmitFlow stores a flow and returns once it is durable as a whole. Its key makes repeating it safe.
func (c *Client) SubmitFlow(ctx context.Context, node Node, options ...FlowOption) (FlowHandle, error) {
	list, err := membersOf(node)
	if err != nil {
		return FlowHandle{}, err
	}
	flow := &droverv1.FlowSpec{Members: list}
	for _, option := range options {
		option(flow)
	}
	if flow.Key == "" {
		key, err := uuid.NewV7()
		if err != nil {
			return FlowHandle{}, fmt.Errorf("drover: flow key: %w", err)
		}
		flow.Key = key.String()
	}
	for _, member := range list {
		member.Job = c.tracedJob(ctx, member.Job)
	}
	answer, err := call(ctx, c, 0, c.flows.Submit, &droverv1.FlowServiceSubmitRequest{Flow: flow})
	if err != nil {
		return FlowHandle{}, err
	}
	return c.Flow(answer.GetKey()), nil
}

// FlowHandle is one flow, whatever process it was submitted by. Making one asks the broker nothing; each method does, and
// fails with ErrFlowNotFound for a flow that nobody knows.
type FlowHandle struct {
	Key    string
	client *Client
}

// Flow is a flow by its key.
func (c *Client) Flow(key string) FlowHandle { return FlowHandle{key, c} }

// Status returns the flow as it stands.
func (h FlowHandle) Status(ctx context.Context) (Flow, error) {
	answer, err := call(ctx, h.client, 0, h.client.flows.Get, &droverv1.FlowServiceGetRequest{Key: h.Key})
	if err != nil {
		return Flow{}, err
	}
	return flowOf(answer.GetFlow()), nil
}

// Members yields the graph, member by member, without results.
func (h FlowHandle) Members(ctx context.Context) iter.Seq2[FlowMember, error] {
	return h.members(ctx, &droverv1.FlowServiceGetRequest{})
}

func (h FlowHandle) members(ctx context.Context, request *droverv1.FlowServiceGetRequest) iter.Seq2[FlowMember, error] {
	return func(yield func(FlowMember, error) bool) {
		request.Key, request.IncludeMembers, request.MemberCount = h.Key, true, 1000
		for {
			page, err := call(ctx, h.client, 0, h.client.flows.Get, request)
			if err != nil {
				yield(FlowMember{}, err)
				return
			}
			for _, view := range page.GetMembers() {
				if !yield(flowMemberOf(view), nil) {
					return
				}
			}
			if request.FirstMember = page.GetNextMember(); request.FirstMember == 0 {
				return
			}
		}
	}
}

// Watch yields the flow as it stands and then after changes until it has ended; see Client.Watch.
func (h FlowHandle) Watch(ctx context.Context) iter.Seq2[Flow, error] {
	read := func(response *droverv1.FlowServiceWatchResponse) (Flow, bool) {
		flow := flowOf(response.GetFlow())
		return flow, flow.State.Ended()
	}
	return follow(ctx, h.client, h.client.flows.Watch, &droverv1.FlowServiceWatchRequest{Key: h.Key}, read)
}

// Wait returns the flow once it has ended, however it ended. If ctx ends before, the error is a *FlowWaitError, and the
// flow goes on.
func (h FlowHandle) Wait(ctx context.Context) (Flow, error) {
	var last Flow
	for flow, err := range h.Watch(ctx) {
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)):
			return Flow{}, &FlowWaitError{Key: h.Key, State: last.State, cause: err}
		case err != nil:
			return Flow{}, err
		}
		last = flow
	}
	return last, nil
}

// Outcomes waits for the flow and returns what the members came to that no other one depends on, in their order: all of
// a group, the one of a chain or a chord. Those that failed are among them.
func (h FlowHandle) Outcomes(ctx context.Context) ([]FlowMember, error) {
	if _, err := h.Wait(ctx); err != nil {
		return nil, err
	}
	return h.outcomes(ctx)
}

func (h FlowHandle) outcomes(ctx context.Context) ([]FlowMember, error) {
	var outcomes []FlowMember
	request := &droverv1.FlowServiceGetRequest{IncludeResults: true, LastMembersOnly: true}
	for member, err := range h.members(ctx, request) {
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, member)
	}
	return outcomes, nil
}

// FlowResults waits for a flow and returns the decoded results of its last members, in their order. Unless the flow
// Succeeded the error is a *FlowFailedError, which has each one's outcome.
func FlowResults[Out any](ctx context.Context, flow FlowHandle) ([]Out, error) {
	ended, err := flow.Wait(ctx)
	if err != nil {
		return nil, err
	}
	outcomes, err := flow.outcomes(ctx)
	if err != nil {
		return nil, err
	}
	if ended.State != Succeeded {
		return nil, &FlowFailedError{Flow: ended, Outcomes: outcomes}
	}
	results := make([]Out, len(outcomes))
	for i, outcome := range outcomes {
		if outcome.Result == nil {
			continue // failed or kept no result, where the flow went on all the same
		}
		if err := outcome.Result.into(&results[i]); err != nil {
			return nil, fmt.Errorf("result of %s: %w", outcome.JobID, err)
		}
	}
	return results, nil
}

// FlowResult is FlowResults for a flow that ends in one member, as a chain and a chord do.
func FlowResult[Out any](ctx context.Context, flow FlowHandle) (Out, error) {
	var first Out
	results, err := FlowResults[Out](ctx, flow)
	if err == nil && len(results) != 1 {
		err = fmt.Errorf("drover: flow %s ends in %d members: ask for FlowResults", flow.Key, len(results))
	}
	if err != nil {
		return first, err
	}
	return results[0], nil
}

// FlowCancellation is what the cancel of a flow did.
type FlowCancellation struct {
	// Members that were cancelled at once, and that run and were asked to end.
	Cancelled, Requested int
	// The flow had ended; nothing was changed.
	AlreadyFinished bool
}

// Cancel cancels what waits and asks for the end of what runs. The reason is kept, at most 1 KiB.
func (h FlowHandle) Cancel(ctx context.Context, reason string) (FlowCancellation, error) {
	request := &droverv1.FlowServiceCancelRequest{Key: h.Key, Reason: reason}
	answer, err := call(ctx, h.client, 0, h.client.flows.Cancel, request)
	if err != nil {
		return FlowCancellation{}, err
	}
	return FlowCancellation{int(answer.GetCancelled()), int(answer.GetRequested()), answer.GetAlreadyFinished()}, nil
}

// Redrive runs the failed and cancelled members again, and what was left out for their sake; it returns how many.
// ErrNotFailed unless the flow has Failed or was Cancelled. Tried once.
func (h FlowHandle) Redrive(ctx context.Context) (int, error) {
	answer, err := callOnce(ctx, h.client, 0, h.client.flows.Redrive, &droverv1.FlowServiceRedriveRequest{Key: h.Key})
	return int(answer.GetRedriven()), err
}

func flowOf(flow *droverv1.Flow) Flow {
	counts := flow.GetCounts()
	converted := Flow{
		Key:   flow.GetKey(),
		Name:  flow.GetName(),
		State: State(strings.TrimPrefix(flow.GetState().String(), "FLOW_STATE_")),
		Counts: FlowCounts{
			Total:     int(counts.GetTotal()),
			Blocked:   int(counts.GetBlocked()),
			Open:      int(counts.GetOpen()),
			Succeeded: int(counts.GetSucceeded()),
			Failed:    int(counts.GetFailed()),
			Cancelled: int(counts.GetCancelled()),
		},
		SubmittedAt: timeOf(flow.GetSubmittedAt()),
		FinishedAt:  timeOf(flow.GetFinishedAt()),
		Deadline:    timeOf(flow.GetDeadline()),
		Labels:      flow.GetLabels(),
		Failure:     failureOf(flow.GetFailure()),
	}
	if flow != nil && flow.FailedMember != nil {
		position := int(flow.GetFailedMember())
		converted.FailedMember = &position
	}
	return converted
}

func flowMemberOf(view *droverv1.FlowMemberView) FlowMember {
	member := FlowMember{
		Position: int(view.GetMember()),
		JobID:    view.GetJobId(),
		Name:     view.GetName(),
		State:    stateOf(view.GetState()),
		Result:   payloadOf(view.GetResult()),
		Failure:  failureOf(view.GetFailure()),
	}
	for _, before := range view.GetDependsOn() {
		member.DependsOn = append(member.DependsOn, int(before))
	}
	return member
}
