package drover

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// QueueStatus is a queue as it stands; counts are at most 15 s old.
type QueueStatus struct {
	Name    string `json:"name"`
	Paused  bool   `json:"paused"`
	Ready   int    `json:"ready"`
	Running int    `json:"running"`
	// Scheduled and Retrying.
	Scheduled int `json:"scheduled"`
	Blocked   int `json:"blocked"`
	// Only from Client.Queue.
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
}

// Queues lists the queues, without counts of ended jobs.
func (c *Client) Queues(ctx context.Context) ([]QueueStatus, error) {
	answer, err := call(ctx, c, 0, c.queues.List, &droverv1.QueueServiceListRequest{})
	if err != nil {
		return nil, err
	}
	var queues []QueueStatus
	for _, queue := range answer.GetQueues() {
		queues = append(queues, queueOf(queue))
	}
	return queues, nil
}

// Queue returns one queue, with the counts of its ended jobs; ErrQueueNotFound if nothing was ever submitted to it.
func (c *Client) Queue(ctx context.Context, name string) (QueueStatus, error) {
	answer, err := call(ctx, c, 0, c.queues.Get, &droverv1.QueueServiceGetRequest{Queue: name})
	if err != nil {
		return QueueStatus{}, err
	}
	return queueOf(answer.GetQueue()), nil
}

func queueOf(queue *droverv1.Queue) QueueStatus {
	return QueueStatus{
		Name:      queue.GetName(),
		Paused:    queue.GetPaused(),
		Ready:     int(queue.GetReady()),
		Running:   int(queue.GetRunning()),
		Scheduled: int(queue.GetScheduled()),
		Blocked:   int(queue.GetBlocked()),
		Succeeded: int(queue.GetSucceeded()),
		Failed:    int(queue.GetFailed()),
		Cancelled: int(queue.GetCancelled()),
	}
}

// PauseQueue: nothing of the queue is handed out any more, by any broker, once this has answered. Running jobs run on.
func (c *Client) PauseQueue(ctx context.Context, name string) error {
	_, err := call(ctx, c, 0, c.queues.Pause, &droverv1.QueueServicePauseRequest{Queue: name})
	return err
}

// ResumeQueue takes PauseQueue back.
func (c *Client) ResumeQueue(ctx context.Context, name string) error {
	_, err := call(ctx, c, 0, c.queues.Resume, &droverv1.QueueServiceResumeRequest{Queue: name})
	return err
}

// Purge says what is to be removed from a queue.
type Purge struct {
	// Empty = every task.
	Task string
	// Also jobs that wait for a time.
	IncludeScheduled bool
	// Only count.
	DryRun bool
}

// Purged is how many jobs were removed, or would be.
type Purged struct{ Ready, Scheduled int }

// How long the broker may wait until no job of the queue is just being handed out.
const purgePatience = 35 * time.Second

// PurgeQueue removes the jobs of a queue that wait, without a record. Tried once: a second try would also take what was
// submitted meanwhile.
func (c *Client) PurgeQueue(ctx context.Context, queue string, purge Purge) (Purged, error) {
	request := &droverv1.QueueServicePurgeRequest{
		Queue: queue, Task: purge.Task, IncludeScheduled: purge.IncludeScheduled, DryRun: purge.DryRun,
	}
	answer, err := callOnce(ctx, c, purgePatience, c.queues.Purge, request)
	if err != nil {
		return Purged{}, err
	}
	return Purged{int(answer.GetReady()), int(answer.GetScheduled())}, nil
}

// Limits are how fast and how many at a time, over all brokers and workers; zero = no limit.
type Limits struct {
	// Starts per period, and how many of them may come at once after a quiet time (1 to Rate, 0 = 1).
	Rate   int
	Period time.Duration
	Burst  int
	// Running at a time, and of each ConcurrencyKey.
	Concurrency       int
	ConcurrencyPerKey int
}

// LimitTask sets the limits of a task; they hold for every broker once this has answered. Limits{} takes all back.
func (c *Client) LimitTask(ctx context.Context, task string, limits Limits) error {
	request := &droverv1.UpdateTaskRequest{Task: task, Limits: limits.wire()}
	_, err := call(ctx, c, 0, c.queues.UpdateTask, request)
	return err
}

// LimitQueue sets the limits of a queue as LimitTask does those of a task.
func (c *Client) LimitQueue(ctx context.Context, queue string, limits Limits) error {
	request := &droverv1.QueueServiceUpdateRequest{Queue: queue, Limits: limits.wire()}
	_, err := call(ctx, c, 0, c.queues.Update, request)
	return err
}

func (l Limits) wire() *droverv1.RunLimits {
	limits := &droverv1.RunLimits{Concurrency: unlessZero(l.Concurrency), ConcurrencyPerKey: unlessZero(l.ConcurrencyPerKey)}
	if l.Rate != 0 || l.Period != 0 {
		limits.Rate = &droverv1.RateLimit{Count: wireNumber(l.Rate), Period: durationpb.New(l.Period), Burst: wireNumber(l.Burst)}
	}
	return limits
}

func unlessZero(n int) *uint32 {
	if n == 0 {
		return nil
	}
	value := wireNumber(n)
	return &value
}

// wireNumber makes of what the wire has no form for something that the broker refuses.
func wireNumber(n int) uint32 {
	if n < 0 || n > 1<<31 {
		return 1<<32 - 1
	}
	return uint32(n)
}
