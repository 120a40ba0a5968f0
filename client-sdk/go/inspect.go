package drover

import (
	"context"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// ActiveJob is a job that runs now.
type ActiveJob struct {
	JobID     string    `json:"job_id"`
	Queue     string    `json:"queue"`
	Attempt   int       `json:"attempt"`
	Worker    string    `json:"worker"`
	Broker    string    `json:"broker,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	// Somebody asked for its cancellation.
	CancelRequested bool `json:"cancel_requested,omitempty"`
}

// Active lists what runs now, where and since when: at most 1,000 jobs of each broker. A broker that does not answer
// within 300 ms is left out.
func (c *Client) Active(ctx context.Context) ([]ActiveJob, error) {
	answer, err := call(ctx, c, 0, c.inspect.Active, &droverv1.ActiveRequest{})
	if err != nil {
		return nil, err
	}
	var jobs []ActiveJob
	for _, job := range answer.GetJobs() {
		jobs = append(jobs, ActiveJob{
			JobID:           job.GetJobId(),
			Queue:           job.GetQueue(),
			Attempt:         int(job.GetAttempt()),
			Worker:          job.GetWorker(),
			Broker:          job.GetBroker(),
			StartedAt:       timeOf(job.GetStartedAt()),
			CancelRequested: job.GetCancelRequested(),
		})
	}
	return jobs, nil
}

// RegisteredTask is a task and the workers and queues that serve it.
type RegisteredTask struct {
	Task    string   `json:"task"`
	Workers []string `json:"workers"`
	Queues  []string `json:"queues"`
}

// Registered lists which tasks the workers with a session serve.
func (c *Client) Registered(ctx context.Context) ([]RegisteredTask, error) {
	answer, err := call(ctx, c, 0, c.inspect.Registered, &droverv1.RegisteredRequest{})
	if err != nil {
		return nil, err
	}
	var tasks []RegisteredTask
	for _, task := range answer.GetTasks() {
		tasks = append(tasks, RegisteredTask{task.GetTask(), task.GetWorkers(), task.GetQueues()})
	}
	return tasks, nil
}
