package worker

// A broker for tests that is none: jobs run where they are submitted, at once, by the handlers of a worker, with the same
// retry and error rules. Nothing is stored but in memory, and nothing waits: delays and retry waits take no time.

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Eager is what a client can call instead of brokers, for tests of code that submits: a submit returns once the job has
// ended. Jobs and flows can be submitted, and asked for; what else a client can do is UNIMPLEMENTED.
//
//	client, err := drover.New(drover.Config{Conn: worker.Eager(w)})
//
// w is not run; its tasks and what is Around them are used, its hooks are not.
func Eager(w *Worker) grpc.ClientConnInterface {
	return &eager{worker: w, jobs: map[string]*droverv1.Job{}, flows: map[string]*eagerFlow{}}
}

type eager struct {
	worker *Worker
	mu     sync.Mutex
	jobs   map[string]*droverv1.Job
	flows  map[string]*eagerFlow
}

type eagerFlow struct {
	flow    *droverv1.Flow
	members []*droverv1.FlowMemberView
}

func (e *eager) Invoke(ctx context.Context, method string, request, response any, _ ...grpc.CallOption) error {
	var answer proto.Message
	var err error
	switch request := request.(type) {
	case *droverv1.SubmitRequest:
		var result *droverv1.SubmitResult
		result, err = e.submit(ctx, request.GetJob(), request.GetOnConflict())
		answer = &droverv1.SubmitResponse{Id: result.GetId(), Deduplicated: result.GetDeduplicated(), State: result.GetState()}
	case *droverv1.SubmitBatchRequest:
		batch := &droverv1.SubmitBatchResponse{}
		for _, job := range request.GetJobs() {
			result, failure := e.submit(ctx, job, request.GetOnConflict())
			if failure != nil {
				from := status.Convert(failure)
				result = &droverv1.SubmitResult{Error: &droverv1.ItemStatus{
					Code: int32(from.Code()), Message: from.Message(), Reason: reasonOfStatus(from),
				}}
			}
			batch.Results = append(batch.Results, result)
		}
		answer = batch
	case *droverv1.StatusRequest:
		var job *droverv1.Job
		job, err = e.find(request.GetId())
		answer = &droverv1.StatusResponse{Job: job}
	case *droverv1.StatusBatchRequest:
		answer = &droverv1.StatusBatchResponse{Results: e.findAll(request.GetIds())}
	case *droverv1.WaitRequest:
		answer = &droverv1.WaitResponse{Done: true, Results: e.findAll(request.GetIds())}
	case *droverv1.CancelRequest:
		// Every job has ended by the time that somebody can ask.
		var job *droverv1.Job
		job, err = e.find(request.GetId())
		answer = &droverv1.CancelResponse{
			Outcome: droverv1.CancelOutcome_CANCEL_OUTCOME_ALREADY_FINISHED, PreviousState: job.GetState(),
		}
	case *droverv1.FlowServiceSubmitRequest:
		answer = e.submitFlow(ctx, request.GetFlow())
	case *droverv1.FlowServiceGetRequest:
		answer, err = e.flow(request)
	default:
		return status.Errorf(codes.Unimplemented, "%s is not there without a broker", method)
	}
	if err == nil {
		proto.Merge(response.(proto.Message), answer)
	}
	return err
}

// NewStream serves the two watches: one message, for what has ended.
func (e *eager) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &eagerStream{ctx: ctx, eager: e, method: method}, nil
}

type eagerStream struct {
	ctx    context.Context
	eager  *eager
	method string
	answer proto.Message
	err    error
}

func (s *eagerStream) SendMsg(request any) error {
	switch request := request.(type) {
	case *droverv1.WatchRequest:
		job, err := s.eager.find(request.GetId())
		s.answer, s.err = &droverv1.WatchResponse{Job: job}, err
	case *droverv1.FlowServiceWatchRequest:
		answer, err := s.eager.flow(&droverv1.FlowServiceGetRequest{Key: request.GetKey()})
		s.answer, s.err = &droverv1.FlowServiceWatchResponse{Flow: answer.GetFlow()}, err
	default:
		s.err = status.Errorf(codes.Unimplemented, "%s is not there without a broker", s.method)
	}
	return nil
}

func (s *eagerStream) RecvMsg(response any) error {
	if s.err != nil {
		return s.err
	}
	s.err = io.EOF
	proto.Merge(response.(proto.Message), s.answer)
	return nil
}

func (s *eagerStream) CloseSend() error             { return nil }
func (s *eagerStream) Context() context.Context     { return s.ctx }
func (s *eagerStream) Header() (metadata.MD, error) { return nil, nil }
func (s *eagerStream) Trailer() metadata.MD         { return nil }

func (e *eager) submit(ctx context.Context, spec *droverv1.JobSpec, policy droverv1.ConflictPolicy) (*droverv1.SubmitResult, error) {
	id := spec.GetTask() + "~" + spec.GetKey()
	if there, err := e.find(id); err == nil {
		if policy == droverv1.ConflictPolicy_CONFLICT_POLICY_REJECT {
			return nil, refusal(codes.AlreadyExists, "JOB_EXISTS", "the task has a job of that key")
		}
		return &droverv1.SubmitResult{Id: id, Deduplicated: true, State: there.GetState()}, nil
	}
	t := e.worker.tasks[spec.GetTask()]
	if t == nil {
		return nil, refusal(codes.NotFound, "TASK_NOT_REGISTERED", "the worker registered no handler for "+spec.GetTask())
	}
	job := e.worker.runEagerly(ctx, t, spec, nil)
	e.keep(job)
	return &droverv1.SubmitResult{Id: id, State: droverv1.JobState_JOB_STATE_READY}, nil
}

func (e *eager) keep(job *droverv1.Job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs[job.GetId()] = job
}

func (e *eager) findAll(ids []string) []*droverv1.StatusResult {
	results := make([]*droverv1.StatusResult, len(ids))
	for i, id := range ids {
		job, failure := e.find(id)
		results[i] = &droverv1.StatusResult{Job: job}
		if failure != nil {
			from := status.Convert(failure)
			results[i].Error = &droverv1.ItemStatus{Code: int32(from.Code()), Message: from.Message(), Reason: reasonOfStatus(from)}
		}
	}
	return results
}

func (e *eager) find(id string) (*droverv1.Job, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if job := e.jobs[id]; job != nil {
		return job, nil
	}
	return nil, refusal(codes.NotFound, "JOB_NOT_FOUND", "nobody submitted "+id)
}

func refusal(code codes.Code, reason, message string) error {
	refused, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "drover.dev"})
	if err != nil {
		return err
	}
	return refused.Err()
}

func reasonOfStatus(from *status.Status) string {
	for _, detail := range from.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// As the broker has it where a job says nothing.
const defaultMaxAttempts = 4

// runEagerly runs a job until it has ended.
func (w *Worker) runEagerly(ctx context.Context, t *task, spec *droverv1.JobSpec, inputs []*droverv1.Input) *droverv1.Job {
	limit := defaultMaxAttempts
	if spec.GetRetry() != nil && spec.GetRetry().MaxAttempts != nil {
		limit = int(spec.GetRetry().GetMaxAttempts())
	}
	now := timestamppb.Now()
	job := &droverv1.Job{
		Id: spec.GetTask() + "~" + spec.GetKey(), Task: spec.GetTask(), Key: spec.GetKey(), Queue: spec.GetQueue(),
		Priority: spec.GetPriority(), Payload: spec.GetPayload(), Labels: spec.GetLabels(), Headers: spec.GetHeaders(),
		Retry: spec.GetRetry(), SubmittedAt: now,
	}
	if job.Queue == "" {
		job.Queue = "default"
	}
	for !ended(job.GetState()) {
		job.Attempt++
		lease := &droverv1.Lease{
			JobId: job.GetId(), Task: job.GetTask(), Queue: job.GetQueue(), Priority: job.GetPriority(), Attempt: job.GetAttempt(),
			Failures: job.GetFailures(), MaxAttempts: uint32(limit), Labels: job.GetLabels(), Headers: job.GetHeaders(),
			SubmittedAt: now, SoftTimeLimit: spec.GetSoftTimeLimit(), HardTimeLimit: spec.GetHardTimeLimit(),
			Inputs: inputs, InputCount: uint32(len(inputs)),
		}
		job.StartedAt = timestamppb.Now()
		outcome := w.runOnce(ctx, t, lease, proto.CloneOf(spec.GetPayload()), job)
		settleEagerly(job, outcome, limit)
	}
	job.FinishedAt = timestamppb.Now()
	return job
}

// runOnce is one attempt in the submitter's goroutine.
func (w *Worker) runOnce(
	ctx context.Context, t *task, lease *droverv1.Lease, payload *droverv1.Payload, record *droverv1.Job,
) *droverv1.Outcome {
	job := newJob(lease, time.Now())
	job.logger = w.config.Logger
	job.inputs = w.inputsOf(lease)
	job.report = func(progress *droverv1.Progress) { record.Progress = progress }
	ctx, stop := limited(NewContext(context.WithoutCancel(ctx), job), job)
	defer stop()
	end := ending{}
	func() {
		defer func() {
			if value := recover(); value != nil {
				end.err = panicError{value: value, stack: string(debug.Stack())}
			}
		}()
		end.result, end.err = w.call(ctx, t, payload)
	}()
	end.cause = context.Cause(ctx)
	return judge(end, t.isPermanent)
}

func settleEagerly(job *droverv1.Job, outcome *droverv1.Outcome, maxAttempts int) {
	attempt := &droverv1.Attempt{Number: job.GetAttempt(), StartedAt: job.GetStartedAt(), EndedAt: timestamppb.Now()}
	switch report := outcome.GetReport().(type) {
	case *droverv1.Outcome_Success:
		attempt.Outcome = droverv1.AttemptOutcome_ATTEMPT_OUTCOME_SUCCEEDED
		job.State, job.Result, job.Failure = droverv1.JobState_JOB_STATE_SUCCEEDED, report.Success.GetResult(), nil
	case *droverv1.Outcome_Failure:
		from := report.Failure
		attempt.Outcome = droverv1.AttemptOutcome_ATTEMPT_OUTCOME_FAILED
		attempt.Failure = &droverv1.Failure{
			Reason: from.GetReason(), Type: from.GetType(), Message: from.GetMessage(), Stack: from.GetStack(),
		}
		job.Failures++
		job.State, job.Failure = droverv1.JobState_JOB_STATE_RETRYING, attempt.Failure
		if from.GetReason() == droverv1.FailureReason_FAILURE_REASON_PERMANENT || int(job.GetFailures()) >= maxAttempts {
			job.State = droverv1.JobState_JOB_STATE_FAILED
		}
	case *droverv1.Outcome_Snooze:
		attempt.Outcome = droverv1.AttemptOutcome_ATTEMPT_OUTCOME_SNOOZED
		job.State = droverv1.JobState_JOB_STATE_SCHEDULED
	default:
		attempt.Outcome = droverv1.AttemptOutcome_ATTEMPT_OUTCOME_RELEASED
		job.State = droverv1.JobState_JOB_STATE_READY
	}
	job.History = append(job.History, attempt)
	if len(job.GetHistory()) > 20 {
		job.History = job.History[1:]
	}
	// With a broker it would go on for ever; here nothing could end it.
	if !ended(job.GetState()) && job.GetAttempt() >= maxEagerAttempts {
		job.State = droverv1.JobState_JOB_STATE_FAILED
		job.Failure = &droverv1.Failure{
			Reason: droverv1.FailureReason_FAILURE_REASON_ERROR, Type: "Eager",
			Message: fmt.Sprintf("put off %d times, and without a broker no time passes", maxEagerAttempts),
		}
	}
}

const maxEagerAttempts = 1000

func ended(state droverv1.JobState) bool {
	return state == droverv1.JobState_JOB_STATE_SUCCEEDED || state == droverv1.JobState_JOB_STATE_FAILED ||
		state == droverv1.JobState_JOB_STATE_CANCELLED
}

// submitFlow runs a flow's members in their order: each has those that it depends on before it.
func (e *eager) submitFlow(ctx context.Context, spec *droverv1.FlowSpec) *droverv1.FlowServiceSubmitResponse {
	answer := &droverv1.FlowServiceSubmitResponse{Key: spec.GetKey()}
	if _, err := e.flow(&droverv1.FlowServiceGetRequest{Key: spec.GetKey()}); err == nil {
		answer.Deduplicated = true
		return answer
	}
	flow := &droverv1.Flow{
		Key: spec.GetKey(), Name: spec.GetName(), Labels: spec.GetLabels(), Deadline: spec.GetDeadline(),
		State: droverv1.FlowState_FLOW_STATE_SUCCEEDED, SubmittedAt: timestamppb.Now(),
		Counts: &droverv1.FlowCounts{Total: uint32(len(spec.GetMembers()))},
	}
	kept := &eagerFlow{flow: flow}
	given := make([]bool, len(spec.GetMembers()))
	over := false
	for position, member := range spec.GetMembers() {
		job := proto.CloneOf(member.GetJob())
		if job.GetKey() == "" {
			job.Key = fmt.Sprintf("%s.%d", spec.GetKey(), position)
		}
		view := &droverv1.FlowMemberView{
			Member: uint32(position), JobId: job.GetTask() + "~" + job.GetKey(), Name: member.GetName(),
			DependsOn: member.GetDependsOn(), OnFailure: member.GetOnFailure(),
		}
		answer.JobIds = append(answer.JobIds, view.JobId)
		inputs, blocked := kept.inputs(member.GetDependsOn())
		for _, before := range member.GetDependsOn() {
			given[before] = true
		}
		record := &droverv1.Job{Id: view.JobId, Task: job.GetTask(), Key: job.GetKey(), State: droverv1.JobState_JOB_STATE_CANCELLED}
		if t := e.worker.tasks[job.GetTask()]; t == nil {
			record.State = droverv1.JobState_JOB_STATE_FAILED
			record.Failure = &droverv1.Failure{Type: "UnknownTask", Message: "the worker registered no handler for " + job.GetTask()}
		} else if !over && !blocked {
			record = e.worker.runEagerly(ctx, t, job, inputs)
		}
		record.Flow, record.FlowMember = spec.GetKey(), uint32(position)
		e.keep(record)
		view.State, view.Result, view.Failure = record.GetState(), record.GetResult(), record.GetFailure()
		kept.members = append(kept.members, view)
		over = kept.count(view) || over
	}
	for position, wanted := range given {
		if !wanted {
			flow.LastMembers = append(flow.LastMembers, uint32(position))
		}
	}
	flow.FinishedAt = timestamppb.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flows[spec.GetKey()] = kept
	return answer
}

// inputs are what members came to. blocked: one of them did not succeed, and is not to be gone on from.
func (f *eagerFlow) inputs(positions []uint32) (inputs []*droverv1.Input, blocked bool) {
	for _, position := range positions {
		view := f.members[position]
		inputs = append(inputs, &droverv1.Input{
			JobId: view.GetJobId(), State: view.GetState(), Result: view.GetResult(), Failure: view.GetFailure(),
		})
		succeeded := view.GetState() == droverv1.JobState_JOB_STATE_SUCCEEDED
		blocked = blocked || !succeeded && view.GetOnFailure() != droverv1.FailurePolicy_FAILURE_POLICY_CONTINUE
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
	if view.GetOnFailure() == droverv1.FailurePolicy_FAILURE_POLICY_CONTINUE {
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
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.flows[request.GetKey()]
	if kept == nil {
		return nil, refusal(codes.NotFound, "FLOW_NOT_FOUND", "nobody submitted a flow "+request.GetKey())
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
