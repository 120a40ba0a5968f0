package drover

// What is tried again: a submit under the key of its first try, so that a job whose answer was lost is not made twice.

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

var errLost = status.Error(codes.Unavailable, "the connection was lost")

// losing answers go missing, the first two of them; which keys were asked for is kept.
type losing struct{ keys [][]string }

func (b *losing) asked(keys ...string) error {
	b.keys = append(b.keys, keys)
	if len(b.keys) <= 2 {
		return errLost
	}
	return nil
}

// losingBroker stores nothing.
type losingBroker struct {
	droverv1.UnimplementedJobServiceServer
	losing
}

func (b *losingBroker) Submit(_ context.Context, request *droverv1.SubmitRequest) (*droverv1.SubmitResponse, error) {
	return &droverv1.SubmitResponse{Id: "t~" + request.GetJob().GetKey()}, b.asked(request.GetJob().GetKey())
}

func (b *losingBroker) SubmitBatch(
	_ context.Context, request *droverv1.SubmitBatchRequest,
) (*droverv1.SubmitBatchResponse, error) {
	answer := &droverv1.SubmitBatchResponse{}
	var keys []string
	for _, job := range request.GetJobs() {
		keys = append(keys, job.GetKey())
		answer.Results = append(answer.Results, &droverv1.SubmitResult{Id: "t~" + job.GetKey()})
	}
	return answer, b.asked(keys...)
}

func (b *losingBroker) Redrive(_ context.Context, request *droverv1.RedriveRequest) (*droverv1.RedriveResponse, error) {
	return &droverv1.RedriveResponse{}, b.asked(request.GetId())
}

func (b *losingBroker) Watch(_ *droverv1.WatchRequest, stream grpc.ServerStreamingServer[droverv1.WatchResponse]) error {
	err := b.asked()
	state := droverv1.JobState_JOB_STATE_READY
	if err == nil {
		state = droverv1.JobState_JOB_STATE_SUCCEEDED
	}
	return errors.Join(stream.Send(&droverv1.WatchResponse{Job: &droverv1.Job{Id: "t~k", State: state}}), err)
}

// losingSchedules submits nothing.
type losingSchedules struct {
	droverv1.UnimplementedScheduleServiceServer
	losing
}

func (b *losingSchedules) Trigger(
	_ context.Context, request *droverv1.ScheduleServiceTriggerRequest,
) (*droverv1.ScheduleServiceTriggerResponse, error) {
	return &droverv1.ScheduleServiceTriggerResponse{}, b.asked(request.GetName())
}

type losingFlows struct {
	droverv1.UnimplementedFlowServiceServer
	losing
}

func (b *losingFlows) Submit(
	_ context.Context, request *droverv1.FlowServiceSubmitRequest,
) (*droverv1.FlowServiceSubmitResponse, error) {
	flow := request.GetFlow()
	keys := []string{flow.GetKey()}
	for _, member := range flow.GetMembers() {
		keys = append(keys, member.GetJob().GetKey())
	}
	return &droverv1.FlowServiceSubmitResponse{Key: flow.GetKey()}, b.asked(keys...)
}

func TestAKeyThatTheClientMadeIsKeptForEveryTry(t *testing.T) {
	for _, test := range []struct {
		rule string
		jobs int
		do   func(context.Context, *Client) error
	}{
		{"of a submit", 1, func(ctx context.Context, c *Client) error { return failed(c.Submit(ctx, "t", 1)) }},
		{"of each job of a batch", 2, func(ctx context.Context, c *Client) error {
			return failed(c.SubmitBatch(ctx, []Spec{NewSpec("t", 1), NewSpec("t", 2)}))
		}},
		{"of a flow", 3, func(ctx context.Context, c *Client) error {
			return failed(c.SubmitFlow(ctx, Group(Step("t", 1), Step("t", 2))))
		}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			jobs, flows := &losingBroker{}, &losingFlows{}
			client := clientAt(t, serve(t, func(server *grpc.Server) {
				droverv1.RegisterJobServiceServer(server, jobs)
				droverv1.RegisterFlowServiceServer(server, flows)
			}))
			if err := test.do(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			tries := append(jobs.keys, flows.keys...)
			if len(tries) != 3 {
				t.Fatalf("%d tries", len(tries))
			}
			for _, keys := range tries {
				if fmt.Sprint(keys) != fmt.Sprint(tries[0]) || len(keys) != test.jobs {
					t.Errorf("keys %v", tries)
				}
			}
			if !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(tries[0][0]) {
				t.Errorf("%q is no key", tries[0][0])
			}
		})
	}
}

func TestWhatMustNotHappenTwiceIsTriedOnce(t *testing.T) {
	jobs, schedules := &losingBroker{}, &losingSchedules{}
	client := clientAt(t, serve(t, func(server *grpc.Server) {
		droverv1.RegisterJobServiceServer(server, jobs)
		droverv1.RegisterScheduleServiceServer(server, schedules)
	}))
	if _, err := client.Redrive(t.Context(), "t~k"); err == nil || len(jobs.keys) != 1 {
		t.Errorf("redrive: %d tries, %v", len(jobs.keys), err)
	}
	if _, err := client.TriggerSchedule(t.Context(), "s"); err == nil || len(schedules.keys) != 1 {
		t.Errorf("trigger: %d tries, %v", len(schedules.keys), err)
	}
}

func TestAWatchThatWasLostIsOpenedAgain(t *testing.T) {
	broker := &losingBroker{}
	client := clientAt(t, serve(t, func(server *grpc.Server) { droverv1.RegisterJobServiceServer(server, broker) }))
	var seen []State
	for job, err := range client.Watch(t.Context(), "t~k") {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, job.State)
	}
	if fmt.Sprint(seen) != "[READY READY SUCCEEDED]" {
		t.Errorf("seen %v", seen)
	}
}

func clientAt(t *testing.T, addresses ...string) *Client {
	t.Helper()
	client, err := New(Config{Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
