package worker

// The jobs of an eager client.

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// eagerJob is what was submitted, and what became of it; nothing yet where its first run is still to come.
type eagerJob struct {
	spec   *droverv1.JobSpec
	inputs []*droverv1.Input
	job    *droverv1.Job
}

func (e *eager) submit(ctx context.Context, spec *droverv1.JobSpec, policy droverv1.ConflictPolicy) (*droverv1.SubmitResult, error) {
	id := spec.GetTask() + "~" + spec.GetKey()
	if there, err := e.find(id); err == nil {
		if policy == droverv1.ConflictPolicy_CONFLICT_POLICY_REJECT {
			return nil, refusal(codes.AlreadyExists, "JOB_EXISTS", "the task has a job of that key")
		}
		return &droverv1.SubmitResult{Id: id, Deduplicated: true, State: there.GetState()}, nil
	}
	if err := e.run(ctx, &eagerJob{spec: spec}); err != nil {
		return nil, err
	}
	return &droverv1.SubmitResult{Id: id, State: droverv1.JobState_JOB_STATE_READY}, nil
}

// run runs the job until it has ended, and keeps it.
func (e *eager) run(ctx context.Context, of *eagerJob) error {
	t := e.worker.tasks[of.spec.GetTask()]
	if t == nil {
		return refusal(codes.NotFound, "TASK_NOT_REGISTERED", "the worker registered no handler for "+of.spec.GetTask())
	}
	of.job = e.worker.runEagerly(ctx, t, of)
	e.keep(of)
	return nil
}

func (e *eager) keep(of *eagerJob) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs[of.job.GetId()] = of
}

func (e *eager) redrive(ctx context.Context, id string) (*droverv1.Job, error) {
	of, err := e.kept(id)
	if err != nil {
		return nil, err
	}
	if of.job.GetState() != droverv1.JobState_JOB_STATE_FAILED {
		return nil, refusal(codes.FailedPrecondition, "NOT_FAILED",
			id+" is "+nameOf(of.job.GetState())+": only a FAILED job can be redriven")
	}
	again := &eagerJob{spec: of.spec, inputs: of.inputs, job: of.job}
	err = e.run(ctx, again)
	return again.job, err
}

func (e *eager) explain(id string) (*droverv1.ExplainResponse, error) {
	job, err := e.find(id)
	summary := id + " has ended: " + nameOf(job.GetState())
	return &droverv1.ExplainResponse{State: job.GetState(), Summary: summary}, err
}

func (e *eager) refuseMove(id string) error {
	job, err := e.find(id)
	if err != nil {
		return err
	}
	return refusal(codes.FailedPrecondition, "NOT_WAITING",
		id+" is "+nameOf(job.GetState())+": only a job that waits can be moved")
}

func nameOf(state droverv1.JobState) string { return strings.TrimPrefix(state.String(), "JOB_STATE_") }

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
	of, err := e.kept(id)
	if err != nil {
		return nil, err
	}
	return of.job, nil
}

func (e *eager) kept(id string) (*eagerJob, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if of := e.jobs[id]; of != nil {
		return of, nil
	}
	return nil, refusal(codes.NotFound, "JOB_NOT_FOUND", "nobody submitted "+id)
}

// As the broker has it where a job says nothing.
const defaultMaxAttempts = 4

// runEagerly runs a job until it has ended. One that ran before is redriven: its counters begin at zero, its attempts are
// numbered on.
func (w *Worker) runEagerly(ctx context.Context, t *task, of *eagerJob) *droverv1.Job {
	spec, before := of.spec, of.job
	limit := defaultMaxAttempts
	if spec.GetRetry() != nil && spec.GetRetry().MaxAttempts != nil {
		limit = int(spec.GetRetry().GetMaxAttempts())
	}
	now := timestamppb.Now()
	job := &droverv1.Job{
		Id: spec.GetTask() + "~" + spec.GetKey(), Task: spec.GetTask(), Key: spec.GetKey(), Queue: spec.GetQueue(),
		Priority: spec.GetPriority(), Payload: spec.GetPayload(), Labels: spec.GetLabels(), Headers: spec.GetHeaders(),
		Retry: spec.GetRetry(), SoftTimeLimit: spec.GetSoftTimeLimit(), HardTimeLimit: spec.GetHardTimeLimit(),
		SubmittedAt: now, Attempt: before.GetAttempt(), History: slices.Clone(before.GetHistory()),
		Flow: before.GetFlow(), FlowMember: before.GetFlowMember(),
	}
	if before.GetSubmittedAt() != nil {
		job.SubmittedAt = before.GetSubmittedAt()
	}
	if job.Queue == "" {
		job.Queue = "default"
	}
	for !ended(job.GetState()) {
		job.Attempt++
		lease := &droverv1.Lease{
			JobId: job.GetId(), Task: job.GetTask(), Queue: job.GetQueue(), Priority: job.GetPriority(), Attempt: job.GetAttempt(),
			Failures: job.GetFailures(), MaxAttempts: uint32(limit), Labels: job.GetLabels(), Headers: job.GetHeaders(),
			SubmittedAt: job.GetSubmittedAt(), SoftTimeLimit: spec.GetSoftTimeLimit(), HardTimeLimit: spec.GetHardTimeLimit(),
			Inputs: of.inputs, InputCount: uint32(len(of.inputs)),
		}
		job.StartedAt = timestamppb.Now()
		outcome := w.runOnce(ctx, t, lease, proto.CloneOf(spec.GetPayload()), job)
		settleEagerly(job, outcome, job.GetAttempt()-before.GetAttempt(), limit)
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

// settleEagerly: attempts are those since the submit or the last redrive.
func settleEagerly(job *droverv1.Job, outcome *droverv1.Outcome, attempts uint32, maxAttempts int) {
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
	if !ended(job.GetState()) && attempts >= maxEagerAttempts {
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
