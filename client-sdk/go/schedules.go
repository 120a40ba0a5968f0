package drover

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Schedule is a rule that submits jobs by time; Cron and Every make one. One planned time gives one job, whatever the
// number of brokers.
type Schedule struct {
	wire *droverv1.Schedule
	err  error
}

// A ScheduleOption says something about a schedule.
type ScheduleOption func(*droverv1.Schedule)

// Cron is a schedule by a rule of five fields (minute, hour, day of month, month, day of week) or six (second first), or
// @daily and the like, in a zone of an IANA name ("" = UTC). name is unique in the namespace. Of the spec the Key does not
// count: each job's is made from the schedule and its planned time.
func Cron(name, rule, zone string, spec Spec, options ...ScheduleOption) Schedule {
	wire := &droverv1.Schedule{Name: name, Rule: &droverv1.Schedule_Cron{Cron: rule}, TimeZone: zone}
	return newSchedule(wire, spec, options)
}

// Every is a schedule at an interval: 1 s to 365 days, counted from when it was declared or from StartAt.
func Every(name string, interval time.Duration, spec Spec, options ...ScheduleOption) Schedule {
	wire := &droverv1.Schedule{Name: name, Rule: &droverv1.Schedule_Interval{Interval: durationpb.New(interval)}}
	return newSchedule(wire, spec, options)
}

func newSchedule(wire *droverv1.Schedule, spec Spec, options []ScheduleOption) Schedule {
	wire.Job = withoutKey(spec)
	for _, option := range options {
		option(wire)
	}
	return Schedule{wire, spec.err}
}

// Overlap is what happens at a planned time while the job of an earlier one has not ended.
type Overlap int

// What may happen.
const (
	// OverlapAllow is the default.
	OverlapAllow = Overlap(droverv1.OverlapPolicy_OVERLAP_POLICY_ALLOW)
	// OverlapSkip leaves that time out.
	OverlapSkip = Overlap(droverv1.OverlapPolicy_OVERLAP_POLICY_SKIP)
	// OverlapCancelPrevious cancels the earlier job.
	OverlapCancelPrevious = Overlap(droverv1.OverlapPolicy_OVERLAP_POLICY_CANCEL_PREVIOUS)
)

// OnOverlap says what happens while an earlier job has not ended.
func OnOverlap(overlap Overlap) ScheduleOption {
	return func(s *droverv1.Schedule) { s.Overlap = droverv1.OverlapPolicy(overlap) }
}

// SkipMissed leaves out the planned times that passed while no broker was there; by default there is one job for the
// latest of them.
func SkipMissed() ScheduleOption {
	return func(s *droverv1.Schedule) { s.Misfire = droverv1.MisfirePolicy_MISFIRE_POLICY_SKIP }
}

// CatchUp submits a job for each planned time that passed while no broker was there, for the latest most of them: 1 to
// 1,000.
func CatchUp(most int) ScheduleOption {
	return func(s *droverv1.Schedule) {
		s.Misfire, s.MaxCatchUp = droverv1.MisfirePolicy_MISFIRE_POLICY_CATCH_UP, wireNumber(most)
	}
}

// StartAt allows no planned time before.
func StartAt(at time.Time) ScheduleOption {
	return func(s *droverv1.Schedule) { s.StartAt = timestamppb.New(at) }
}

// EndAt allows no planned time at it and after.
func EndAt(at time.Time) ScheduleOption {
	return func(s *droverv1.Schedule) { s.EndAt = timestamppb.New(at) }
}

// SchedulesPut is what a PutSchedules changed, by name.
type SchedulesPut struct{ Added, Changed, Unchanged, Undeclared []string }

// PutSchedules declares an owner's schedules (normally an application's, at its start): what is new is added, what has
// changed is changed, the rest is left alone. What the owner has and does not declare here is told as Undeclared (1,000 names at most), and
// removed only if removeUndeclared is set. ErrOwnedByAnother for a name that another owner has. All or nothing.
func (c *Client) PutSchedules(ctx context.Context, owner string, schedules []Schedule, removeUndeclared bool) (SchedulesPut, error) {
	request := &droverv1.ScheduleServicePutRequest{Owner: owner, RemoveUndeclared: removeUndeclared}
	for _, schedule := range schedules {
		if schedule.err != nil {
			return SchedulesPut{}, schedule.err
		}
		request.Schedules = append(request.Schedules, schedule.wire)
	}
	answer, err := call(ctx, c, 0, c.schedules.Put, request)
	if err != nil {
		return SchedulesPut{}, err
	}
	return SchedulesPut{answer.GetAdded(), answer.GetChanged(), answer.GetUnchanged(), answer.GetUndeclared()}, nil
}

// ScheduleStatus is a schedule as it stands.
type ScheduleStatus struct {
	Name   string
	Owner  string
	Paused bool
	// Zero = never again.
	NextAt time.Time
	// The last planned time that was dealt with; zero = none yet.
	LastAt time.Time
	// The last 20, the latest first.
	Firings []Firing
}

// Firing is what came of a planned time.
type Firing struct {
	PlannedAt time.Time
	// SUBMITTED, OVERLAP, MISFIRE, TRIGGERED or REFUSED.
	Outcome string
	JobID   string
	Detail  string
}

// Schedule returns a schedule as it stands; ErrScheduleNotFound if nobody declared it.
func (c *Client) Schedule(ctx context.Context, name string) (ScheduleStatus, error) {
	answer, err := call(ctx, c, 0, c.schedules.Get, &droverv1.ScheduleServiceGetRequest{Name: name})
	if err != nil {
		return ScheduleStatus{}, err
	}
	view := answer.GetSchedule()
	status := ScheduleStatus{
		Name: view.GetSchedule().GetName(), Owner: view.GetOwner(), Paused: view.GetSchedule().GetPaused(),
		NextAt: timeOf(view.GetNextAt()), LastAt: timeOf(view.GetLastAt()),
	}
	for _, firing := range view.GetFirings() {
		status.Firings = append(status.Firings, Firing{
			PlannedAt: timeOf(firing.GetPlannedAt()),
			Outcome:   strings.TrimPrefix(firing.GetOutcome().String(), "FIRING_OUTCOME_"),
			JobID:     firing.GetJobId(),
			Detail:    firing.GetDetail(),
		})
	}
	return status, nil
}

// DeleteSchedule: no job is submitted any more once this has answered. Jobs that were are left alone.
func (c *Client) DeleteSchedule(ctx context.Context, name string) error {
	_, err := call(ctx, c, 0, c.schedules.Delete, &droverv1.ScheduleServiceDeleteRequest{Name: name})
	return err
}

// PauseSchedule lets planned times pass until ResumeSchedule; they are not made up.
func (c *Client) PauseSchedule(ctx context.Context, name string) error {
	_, err := call(ctx, c, 0, c.schedules.Pause, &droverv1.ScheduleServicePauseRequest{Name: name})
	return err
}

// ResumeSchedule goes on from now.
func (c *Client) ResumeSchedule(ctx context.Context, name string) error {
	_, err := call(ctx, c, 0, c.schedules.Resume, &droverv1.ScheduleServiceResumeRequest{Name: name})
	return err
}

// TriggerSchedule submits the schedule's job now, paused or not, and returns its id. Tried once: a second try might submit
// a second job.
func (c *Client) TriggerSchedule(ctx context.Context, name string) (string, error) {
	answer, err := callOnce(ctx, c, 0, c.schedules.Trigger, &droverv1.ScheduleServiceTriggerRequest{Name: name})
	return answer.GetJobId(), err
}

// PreviewSchedule returns the next times, at most count (1 to 1,000), of a schedule that is there or could be, after from
// (zero = now). It submits nothing.
func (c *Client) PreviewSchedule(ctx context.Context, schedule Schedule, from time.Time, count int) ([]time.Time, error) {
	request := &droverv1.ScheduleServicePreviewRequest{Schedule: schedule.wire, Count: wireNumber(count)}
	if !from.IsZero() {
		request.From = timestamppb.New(from)
	}
	answer, err := call(ctx, c, 0, c.schedules.Preview, request)
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for _, at := range answer.GetTimes() {
		times = append(times, at.AsTime())
	}
	return times, nil
}
