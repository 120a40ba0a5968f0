package worker

// The flows of an eager client.

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

type eagerFlow struct {
	spec    *droverv1.FlowSpec
	flow    *droverv1.Flow
	members []*droverv1.FlowMemberView
}

func (e *eager) submitFlow(ctx context.Context, spec *droverv1.FlowSpec) *droverv1.FlowServiceSubmitResponse {
	answer := &droverv1.FlowServiceSubmitResponse{Key: spec.GetKey()}
	if _, err := e.flowOf(spec.GetKey()); err == nil {
		answer.Deduplicated = true
		return answer
	}
	kept := newEagerFlow(spec)
	for _, view := range kept.members {
		answer.JobIds = append(answer.JobIds, view.GetJobId())
	}
	e.runFlow(ctx, kept)
	return answer
}

func newEagerFlow(spec *droverv1.FlowSpec) *eagerFlow {
	kept := &eagerFlow{spec: spec, flow: &droverv1.Flow{
		Key: spec.GetKey(), Name: spec.GetName(), Labels: spec.GetLabels(), Deadline: spec.GetDeadline(),
		SubmittedAt: timestamppb.Now(),
	}}
	given := make([]bool, len(spec.GetMembers()))
	for position, member := range spec.GetMembers() {
		key := member.GetJob().GetKey()
		if key == "" {
			key = fmt.Sprintf("%s.%d", spec.GetKey(), position)
		}
		kept.members = append(kept.members, &droverv1.FlowMemberView{
			Member: uint32(position), JobId: member.GetJob().GetTask() + "~" + key, Name: member.GetName(),
			DependsOn: member.GetDependsOn(), OnFailure: member.GetOnFailure(),
		})
		for _, before := range member.GetDependsOn() {
			given[before] = true
		}
	}
	for position, wanted := range given {
		if !wanted {
			kept.flow.LastMembers = append(kept.flow.LastMembers, uint32(position))
		}
	}
	return kept
}

// redriveFlow runs again what did not succeed, unless the flow went on without it.
func (e *eager) redriveFlow(ctx context.Context, key string) (*droverv1.FlowServiceRedriveResponse, error) {
	before, err := e.flowOf(key)
	if err != nil {
		return nil, err
	}
	if before.flow.GetState() != droverv1.FlowState_FLOW_STATE_FAILED {
		return nil, refusal(codes.FailedPrecondition, "NOT_FAILED",
			"the flow "+key+" has succeeded: only one that FAILED or was CANCELLED can be redriven")
	}
	again := &eagerFlow{spec: before.spec, flow: proto.CloneOf(before.flow)}
	redriven := uint32(0)
	for _, view := range before.members {
		again.members = append(again.members, proto.CloneOf(view))
		if !stands(view) {
			redriven++
		}
	}
	e.runFlow(ctx, again)
	return &droverv1.FlowServiceRedriveResponse{Flow: again.flow, Redriven: redriven}, nil
}

func stands(view *droverv1.FlowMemberView) bool {
	return view.GetState() == droverv1.JobState_JOB_STATE_SUCCEEDED ||
		view.GetState() == droverv1.JobState_JOB_STATE_FAILED && goesOn(view)
}

func goesOn(view *droverv1.FlowMemberView) bool {
	return view.GetOnFailure() == droverv1.FailurePolicy_FAILURE_POLICY_CONTINUE
}

// runFlow runs what does not stand yet, in the order of the members: each has those that it depends on before it.
func (e *eager) runFlow(ctx context.Context, of *eagerFlow) {
	of.flow.State = droverv1.FlowState_FLOW_STATE_SUCCEEDED
	of.flow.Counts = &droverv1.FlowCounts{Total: uint32(len(of.members))}
	of.flow.FailedMember, of.flow.Failure = nil, nil
	over := false
	for _, view := range of.members {
		if !stands(view) {
			record := e.runMember(ctx, of, view, over)
			view.State, view.Result, view.Failure = record.GetState(), record.GetResult(), record.GetFailure()
		}
		over = of.count(view) || over
	}
	of.flow.FinishedAt = timestamppb.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flows[of.spec.GetKey()] = of
}

// runMember gives the member's record. over: it is too late for it.
func (e *eager) runMember(ctx context.Context, of *eagerFlow, view *droverv1.FlowMemberView, over bool) *droverv1.Job {
	spec := proto.CloneOf(of.spec.GetMembers()[view.GetMember()].GetJob())
	spec.Key = strings.TrimPrefix(view.GetJobId(), spec.GetTask()+"~")
	inputs, blocked := of.inputs(view.GetDependsOn())
	record := &droverv1.Job{Id: view.GetJobId(), Task: spec.GetTask(), Key: spec.GetKey()}
	if before, err := e.find(view.GetJobId()); err == nil {
		record = proto.CloneOf(before)
	}
	record.Flow, record.FlowMember = of.spec.GetKey(), view.GetMember()
	member := &eagerJob{spec: spec, inputs: inputs, job: record}
	if over || blocked {
		record.State, record.Result, record.Failure = droverv1.JobState_JOB_STATE_CANCELLED, nil, nil
		e.keep(member)
	} else if err := e.run(ctx, member); err != nil {
		record.State = droverv1.JobState_JOB_STATE_FAILED
		record.Failure = &droverv1.Failure{Type: "UnknownTask", Message: status.Convert(err).Message()}
		e.keep(member)
	}
	return member.job
}

// inputs are what members came to. blocked: one of them did not succeed, and is not to be gone on from.
func (f *eagerFlow) inputs(positions []uint32) (inputs []*droverv1.Input, blocked bool) {
	for _, position := range positions {
		view := f.members[position]
		inputs = append(inputs, &droverv1.Input{
			JobId: view.GetJobId(), State: view.GetState(), Result: view.GetResult(), Failure: view.GetFailure(),
		})
		succeeded := view.GetState() == droverv1.JobState_JOB_STATE_SUCCEEDED
		blocked = blocked || !succeeded && !goesOn(view)
	}
	return inputs, blocked
}

// count takes a member into account, and tells whether the rest of the flow is over.
func (f *eagerFlow) count(view *droverv1.FlowMemberView) (over bool) {
	switch view.GetState() {
	case droverv1.JobState_JOB_STATE_SUCCEEDED:
		f.flow.Counts.Succeeded++
		return false
	case droverv1.JobState_JOB_STATE_CANCELLED:
		f.flow.Counts.Cancelled++
		return false
	}
	f.flow.Counts.Failed++
	if goesOn(view) {
		return false
	}
	if f.flow.FailedMember == nil {
		position := view.GetMember()
		f.flow.FailedMember, f.flow.Failure = &position, view.GetFailure()
	}
	f.flow.State = droverv1.FlowState_FLOW_STATE_FAILED
	return view.GetOnFailure() != droverv1.FailurePolicy_FAILURE_POLICY_SKIP_DEPENDENTS
}

func (e *eager) flow(request *droverv1.FlowServiceGetRequest) (*droverv1.FlowServiceGetResponse, error) {
	kept, err := e.flowOf(request.GetKey())
	if err != nil {
		return nil, err
	}
	answer := &droverv1.FlowServiceGetResponse{Flow: kept.flow}
	if !request.GetIncludeMembers() {
		return answer, nil
	}
	last := map[uint32]bool{}
	for _, position := range kept.flow.GetLastMembers() {
		last[position] = true
	}
	for _, view := range kept.members {
		if !request.GetLastMembersOnly() || last[view.GetMember()] {
			answer.Members = append(answer.Members, view)
		}
	}
	return answer, nil
}

func (e *eager) flowOf(key string) (*eagerFlow, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if kept := e.flows[key]; kept != nil {
		return kept, nil
	}
	return nil, refusal(codes.NotFound, "FLOW_NOT_FOUND", "nobody submitted a flow "+key)
}
