package drover

import (
	"context"
	"strings"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// ObstacleKind is a kind of thing that keeps a job from running.
type ObstacleKind string

// What may keep a job from running. A newer broker may name others.
const (
	// NotDue: it waits for its time (Until).
	NotDue ObstacleKind = "NOT_DUE"
	// QueuePaused: its queue (Subject) is paused, or rests for a purge.
	QueuePaused ObstacleKind = "QUEUE_PAUSED"
	// NoWorker: no worker that is attached serves its task in its queue.
	NoWorker ObstacleKind = "NO_WORKER"
	// WorkersBusy: Count workers serve it, all of them are full.
	WorkersBusy ObstacleKind = "WORKERS_BUSY"
	// BehindOthers: Count jobs come before it in its queue.
	BehindOthers ObstacleKind = "BEHIND_OTHERS"
	// RateLimited: a rate limit of its task or queue (Subject) leaves it no start before Until.
	RateLimited ObstacleKind = "RATE_LIMIT"
	// ConcurrencyLimited: a concurrency limit of its task or queue (Subject) is used up.
	ConcurrencyLimited ObstacleKind = "CONCURRENCY_LIMIT"
	// ConcurrencyKeyFull: as many jobs of its concurrency key (Subject) run as may, and Count wait before it.
	ConcurrencyKeyFull ObstacleKind = "CONCURRENCY_KEY"
	// Dependencies: members of its flow (Jobs, Count in all) have to end first.
	Dependencies ObstacleKind = "DEPENDENCIES"
)

// Obstacle is one thing that keeps a job from running.
type Obstacle struct {
	Kind ObstacleKind `json:"kind"`
	// For people.
	Detail  string    `json:"detail"`
	Subject string    `json:"subject,omitempty"`
	Count   int       `json:"count,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// At most 100 job ids.
	Jobs []string `json:"jobs,omitempty"`
}

// Explanation says why a job does not run.
type Explanation struct {
	State State `json:"state"`
	// All that stands in its way, the gravest first; empty when nothing does, or it runs or has ended.
	Obstacles []Obstacle `json:"obstacles"`
	// When it can start at the earliest, as far as that can be known; zero = not known.
	EarliestStart time.Time `json:"earliest_start,omitzero"`
	// The same in a sentence.
	Summary string `json:"summary"`
}

// Explain says why a job is not running, and when it can at the earliest.
func (c *Client) Explain(ctx context.Context, id string) (Explanation, error) {
	answer, err := call(ctx, c, 0, c.jobs.Explain, &droverv1.ExplainRequest{Id: id})
	if err != nil {
		return Explanation{}, err
	}
	explanation := Explanation{
		State:         stateOf(answer.GetState()),
		EarliestStart: timeOf(answer.GetEarliestStart()),
		Summary:       answer.GetSummary(),
	}
	for _, obstacle := range answer.GetObstacles() {
		explanation.Obstacles = append(explanation.Obstacles, Obstacle{
			Kind:    ObstacleKind(strings.TrimPrefix(obstacle.GetKind().String(), "OBSTACLE_KIND_")),
			Detail:  obstacle.GetDetail(),
			Subject: obstacle.GetSubject(),
			Count:   int(obstacle.GetCount()),
			Until:   timeOf(obstacle.GetUntil()),
			Jobs:    obstacle.GetJobs(),
		})
	}
	return explanation, nil
}

// Explain is Client.Explain.
func (h JobHandle) Explain(ctx context.Context) (Explanation, error) {
	return h.client.Explain(ctx, h.ID)
}

// Place is where a job waits. What is nil stays as it is.
type Place struct {
	Queue *string
	// 0 to 9, 9 is the most urgent.
	Priority *int
}

// Move puts a job that waits into another queue, or under another priority; its id stays. ErrNotWaiting for one that runs
// or has ended.
func (c *Client) Move(ctx context.Context, id string, to Place) (Job, error) {
	request := &droverv1.MoveRequest{Id: id, Queue: to.Queue}
	if to.Priority != nil {
		// A negative one becomes one that the broker refuses by name, as it does 10.
		priority := uint32(*to.Priority)
		request.Priority = &priority
	}
	answer, err := call(ctx, c, 0, c.jobs.Move, request)
	if err != nil {
		return Job{}, err
	}
	return jobOf(answer.GetJob()), nil
}

// Move is Client.Move.
func (h JobHandle) Move(ctx context.Context, to Place) (Job, error) {
	return h.client.Move(ctx, h.ID, to)
}
