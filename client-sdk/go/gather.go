package drover

// Gathers single submits into batches. An idle client sends a submit at once; while calls are under way, what comes
// meanwhile waits for one of them to return and then goes as one batch. So the batches grow with the load by themselves,
// and a caller alone pays nothing for it.

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// Of one batch; of middling size, so that while the broker writes one the next is on its way.
	maxGathered = 250
	// Calls under way at a time.
	maxGatherCalls = 4
	// How long a submit waits behind slow calls before one more call is opened.
	gatherPatience = 5 * time.Millisecond
)

type gathered struct {
	spec     Spec
	queuedAt time.Time
	sent     bool
	answer   Submitted
	// Closed once there is an answer.
	done chan struct{}
}

type gatherer struct {
	// Stores the batch and puts down the answers, without trying again.
	send func([]Spec) []Submitted

	mu    sync.Mutex
	queue []*gathered
	calls int
	// Runs while something waits that patience may send.
	patience *time.Timer
}

// submit makes one try. ctx ends the wait, not the call that the submit may be part of.
func (g *gatherer) submit(ctx context.Context, spec Spec) Submitted {
	item := &gathered{spec: spec, done: make(chan struct{})}
	g.mu.Lock()
	item.queuedAt = time.Now()
	g.queue = append(g.queue, item)
	g.flush(item.queuedAt)
	g.mu.Unlock()
	select {
	case <-item.done:
		return item.answer
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !item.sent {
		g.queue = slices.DeleteFunc(g.queue, func(other *gathered) bool { return other == item })
	}
	return Submitted{Err: errorOf(ctx, ctx.Err())}
}

// flush sends what may go now. Called with the lock held.
func (g *gatherer) flush(now time.Time) {
	for len(g.queue) > 0 && g.mayGo(now) {
		n := batchSize(specsOf(g.queue[:min(len(g.queue), maxGathered)]))
		batch := slices.Clone(g.queue[:n])
		g.queue = slices.Delete(g.queue, 0, n)
		for _, item := range batch {
			item.sent = true
		}
		g.calls++
		go g.call(batch)
	}
	if len(g.queue) > 0 && g.calls < maxGatherCalls && g.patience == nil {
		g.patience = time.AfterFunc(gatherPatience-now.Sub(g.queue[0].queuedAt), func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.patience = nil
			g.flush(time.Now())
		})
	}
}

func (g *gatherer) mayGo(now time.Time) bool {
	switch {
	case g.calls >= maxGatherCalls:
		return false
	case g.calls == 0, len(g.queue) >= maxGathered:
		return true
	}
	return now.Sub(g.queue[0].queuedAt) >= gatherPatience
}

func (g *gatherer) call(batch []*gathered) {
	specs, _ := specsOf(batch)
	answers := g.send(specs)
	for i, item := range batch {
		item.answer = answers[i]
		close(item.done)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls--
	g.flush(time.Now())
}

// specsOf are the specs of a batch, and their positions, as batchSize takes them.
func specsOf(batch []*gathered) (specs []Spec, positions []int) {
	for i, item := range batch {
		specs, positions = append(specs, item.spec), append(positions, i)
	}
	return specs, positions
}
