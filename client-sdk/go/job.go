package drover

import (
	"encoding/json"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// State is where a job stands. A state that this SDK does not know yet is the broker's name or number for it.
type State string

// The states of a job.
const (
	// Scheduled: waits for its first due time.
	Scheduled State = "SCHEDULED"
	// Blocked: waits for dependencies or for a free place of its concurrency key.
	Blocked State = "BLOCKED"
	// Ready: waits for a worker.
	Ready State = "READY"
	// Running: leased to a worker.
	Running State = "RUNNING"
	// Retrying: ran, failed, waits for its next run.
	Retrying State = "RETRYING"
	// Succeeded: has ended, with a result.
	Succeeded State = "SUCCEEDED"
	// Failed: has ended as a dead letter, kept with its payload.
	Failed State = "FAILED"
	// Cancelled: has ended by request.
	Cancelled State = "CANCELLED"
)

// Ended tells whether the job will not run again by itself.
func (s State) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Job is a job as it stands. Times are the broker's, zero = not (yet). As JSON it is fit for a status page.
type Job struct {
	// `<task>~<key>`.
	ID       string `json:"id"`
	Task     string `json:"task"`
	Key      string `json:"key"`
	Queue    string `json:"queue"`
	Priority int    `json:"priority"`
	State    State  `json:"state"`
	// Number of the current attempt, or of the last one once the job has ended; 0 before the first.
	Attempt int `json:"attempt"`
	// Attempts that ended in a reported failure or at a time limit, and attempts that ended without a report.
	Failures    int       `json:"failures"`
	Crashes     int       `json:"crashes"`
	SubmittedAt time.Time `json:"submitted_at,omitzero"`
	// When it is to run (next).
	DueAt time.Time `json:"due_at,omitzero"`
	// Begin of the current or the last attempt.
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	// Who runs it now or ran it last.
	Worker   string    `json:"worker,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	// Only with IncludePayload.
	Payload *Payload `json:"payload,omitempty"`
	// Once Succeeded, unless the job keeps none.
	Result *Payload `json:"result,omitempty"`
	// Once Failed; also the last failure of a Retrying job.
	Failure *Failure `json:"failure,omitempty"`
	// The last 20 attempts.
	History       []Attempt         `json:"history,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	MaxAttempts   int               `json:"max_attempts,omitempty"`
	SoftTimeLimit time.Duration     `json:"-"`
	HardTimeLimit time.Duration     `json:"-"`
	StartBy       time.Time         `json:"start_by,omitzero"`
	// Somebody asked for its cancellation while it ran.
	CancelRequested bool `json:"cancel_requested,omitempty"`
	// Why it was cancelled, as its canceller said.
	CancelReason string `json:"cancel_reason,omitempty"`
	// The flow it is a step of, and its position there.
	Flow       string `json:"flow,omitempty"`
	FlowMember int    `json:"flow_member,omitempty"`
	// The schedule that submitted it, and for which of its times.
	Schedule       string    `json:"schedule,omitempty"`
	PlannedAt      time.Time `json:"planned_at,omitzero"`
	ConcurrencyKey string    `json:"concurrency_key,omitempty"`
	// Rises with every stored change.
	Revision uint64 `json:"revision"`
}

// Progress is how far a run has come.
type Progress struct {
	// By convention a share of 1; nil = no number was reported.
	Value      *float64        `json:"value,omitempty"`
	Detail     json.RawMessage `json:"detail,omitempty"`
	ReportedAt time.Time       `json:"reported_at,omitzero"`
}

// Failure is why an attempt, or a job, failed.
type Failure struct {
	// For example ERROR, PERMANENT, TIME_LIMIT, CRASHED.
	Reason string `json:"reason"`
	// The error's type as its language names it.
	Type    string `json:"type,omitempty"`
	Message string `json:"message,omitempty"`
	Stack   string `json:"stack,omitempty"`
}

// Attempt is one execution.
type Attempt struct {
	// From 1.
	Number    int       `json:"number"`
	Worker    string    `json:"worker,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// SUCCEEDED, FAILED, CRASHED, RELEASED, SNOOZED or CANCELLED.
	Outcome string   `json:"outcome"`
	Failure *Failure `json:"failure,omitempty"`
}

func stateOf(state droverv1.JobState) State {
	return State(strings.TrimPrefix(state.String(), "JOB_STATE_"))
}

func jobOf(job *droverv1.Job) Job {
	converted := Job{
		ID:              job.GetId(),
		Task:            job.GetTask(),
		Key:             job.GetKey(),
		Queue:           job.GetQueue(),
		Priority:        int(job.GetPriority()),
		State:           stateOf(job.GetState()),
		Attempt:         int(job.GetAttempt()),
		Failures:        int(job.GetFailures()),
		Crashes:         int(job.GetCrashes()),
		SubmittedAt:     timeOf(job.GetSubmittedAt()),
		DueAt:           timeOf(job.GetDueAt()),
		StartedAt:       timeOf(job.GetStartedAt()),
		FinishedAt:      timeOf(job.GetFinishedAt()),
		Worker:          job.GetWorker(),
		Payload:         payloadOf(job.GetPayload()),
		Result:          payloadOf(job.GetResult()),
		Failure:         failureOf(job.GetFailure()),
		Labels:          job.GetLabels(),
		Headers:         job.GetHeaders(),
		MaxAttempts:     int(job.GetRetry().GetMaxAttempts()),
		SoftTimeLimit:   durationOf(job.GetSoftTimeLimit()),
		HardTimeLimit:   durationOf(job.GetHardTimeLimit()),
		StartBy:         timeOf(job.GetStartBy()),
		CancelRequested: job.GetCancelRequested(),
		CancelReason:    job.GetCancelReason(),
		Flow:            job.GetFlow(),
		FlowMember:      int(job.GetFlowMember()),
		Schedule:        job.GetSchedule(),
		PlannedAt:       timeOf(job.GetPlannedAt()),
		ConcurrencyKey:  job.GetConcurrencyKey(),
		Revision:        job.GetRevision(),
	}
	if progress := job.GetProgress(); progress != nil {
		converted.Progress = &Progress{progress.Value, progress.GetDetail(), timeOf(progress.GetReportedAt())}
	}
	for _, attempt := range job.GetHistory() {
		converted.History = append(converted.History, Attempt{
			Number:    int(attempt.GetNumber()),
			Worker:    attempt.GetWorker(),
			StartedAt: timeOf(attempt.GetStartedAt()),
			EndedAt:   timeOf(attempt.GetEndedAt()),
			Outcome:   strings.TrimPrefix(attempt.GetOutcome().String(), "ATTEMPT_OUTCOME_"),
			Failure:   failureOf(attempt.GetFailure()),
		})
	}
	return converted
}

func failureOf(failure *droverv1.Failure) *Failure {
	if failure == nil {
		return nil
	}
	return &Failure{
		Reason:  strings.TrimPrefix(failure.GetReason().String(), "FAILURE_REASON_"),
		Type:    failure.GetType(),
		Message: failure.GetMessage(),
		Stack:   failure.GetStack(),
	}
}

func payloadOf(payload *droverv1.Payload) *Payload {
	if payload == nil {
		return nil
	}
	return &Payload{Data: payload.GetData(), ContentType: payload.GetContentType()}
}

func timeOf(at *timestamppb.Timestamp) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.AsTime()
}

func durationOf(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.AsDuration()
}
