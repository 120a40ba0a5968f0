package drover

// Gathers single submits, and single looks at a job, into batches. An idle client sends one at once; while calls are under
// way, what comes meanwhile waits for one of them to return and then goes as one batch. So the batches grow with the load
// by themselves, and a caller alone pays nothing for it.

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

type gathered[In, Out any] struct {
	in       In
	queuedAt time.Time
	sent     bool
	answer   Out
	// Closed once there is an answer.
	done chan struct{}
}

type gatherer[In, Out any] struct {
	// Makes one call and returns an answer for each, without trying again.
	send func([]In) []Out
	// How many of these, at least one, go in one call.
	fits func([]In) int

	mu    sync.Mutex
	queue []*gathered[In, Out]
	calls int
	// Runs while something waits that patience may send.
	patience *time.Timer
}

// do makes one try. ctx ends the wait, not the call that it may be part of; the error is ctx's.
func (g *gatherer[In, Out]) do(ctx context.Context, in In) (Out, error) {
	item := &gathered[In, Out]{in: in, done: make(chan struct{})}
	g.mu.Lock()
	item.queuedAt = time.Now()
	g.queue = append(g.queue, item)
	g.flush(item.queuedAt)
	g.mu.Unlock()
	select {
	case <-item.done:
		return item.answer, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !item.sent {
		g.queue = slices.DeleteFunc(g.queue, func(other *gathered[In, Out]) bool { return other == item })
	}
	var none Out
	return none, errorOf(ctx, ctx.Err())
}

// flush sends what may go now. Called with the lock held.
func (g *gatherer[In, Out]) flush(now time.Time) {
	for len(g.queue) > 0 && g.mayGo(now) {
		n := g.fits(inputsOf(g.queue[:min(len(g.queue), maxGathered)]))
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

func (g *gatherer[In, Out]) mayGo(now time.Time) bool {
	switch {
	case g.calls >= maxGatherCalls:
		return false
	case g.calls == 0, len(g.queue) >= maxGathered:
		return true
	}
	return now.Sub(g.queue[0].queuedAt) >= gatherPatience
}

func (g *gatherer[In, Out]) call(batch []*gathered[In, Out]) {
	answers := g.send(inputsOf(batch))
	for i, item := range batch {
		item.answer = answers[i]
		close(item.done)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls--
	g.flush(time.Now())
}

func inputsOf[In, Out any](batch []*gathered[In, Out]) []In {
	inputs := make([]In, len(batch))
	for i, item := range batch {
		inputs[i] = item.in
	}
	return inputs
}
