package drover

// Waiting for the end of jobs. Thousands of waits share a few long polls, each of which is answered as soon as one of its
// jobs has ended. An answer tells of all its jobs, so the more are waited for, the longer a round rests before it asks
// again: what the broker reads for it stays below some 10,000 jobs a second.

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

const (
	// Jobs of one round; the contract's limit.
	maxRound = 1000
	// Rounds under way at a time.
	maxRounds = 8
)

// restBeforeAsking is how long what has to be asked gathers before it is asked; waiting counts the jobs waited for.
func restBeforeAsking(waiting int) time.Duration {
	if waiting <= 16 {
		return 0
	}
	return min(time.Second, time.Duration(waiting)*100*time.Microsecond)
}

type waits struct {
	// Asks once; answered in the order of the ids.
	ask      func(ctx context.Context, ids []string) ([]*droverv1.StatusResult, error)
	retryFor time.Duration

	mu   sync.Mutex
	jobs map[string]*awaited
	// What no round asks for at the moment.
	unasked map[*awaited]struct{}
	rounds  map[*round]struct{}
	asking  bool
	// In a row, and since when.
	failures     int
	failingSince time.Time
}

// awaited is one job that is waited for, by whomever.
type awaited struct {
	id      string
	waiters map[*waiter]struct{}
	// As last heard.
	job Job
	// The round that asks for it now.
	round *round
}

type waiter struct {
	// Has a deadline of its own, and goes on until then whatever fails.
	limited bool
	told    chan looked
}

type round struct {
	jobs   []*awaited
	cancel context.CancelFunc
}

// wait returns the job once it has ended, and whether it was told so (or an error) before ctx ended.
func (w *waits) wait(ctx context.Context, id string, limited bool) (job Job, ended bool, err error) {
	waiter := &waiter{limited: limited, told: make(chan looked, 1)}
	awaited := w.join(id, waiter)
	select {
	case told := <-waiter.told:
		return told.job, true, told.err
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leave(awaited, waiter)
	return awaited.job, false, nil
}

func (w *waits) join(id string, who *waiter) *awaited {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs == nil {
		w.jobs, w.unasked, w.rounds = map[string]*awaited{}, map[*awaited]struct{}{}, map[*round]struct{}{}
	}
	job := w.jobs[id]
	if job == nil {
		job = &awaited{id: id, waiters: map[*waiter]struct{}{}}
		w.jobs[id] = job
		w.askSoon(0, job)
	}
	job.waiters[who] = struct{}{}
	return job
}

// From here on everything is called with the lock held, but for what a round runs in its own goroutine.

// leave forgets a job that nobody waits for any more; a round that has nothing else to ask for ends.
func (w *waits) leave(job *awaited, waiter *waiter) {
	delete(job.waiters, waiter)
	if len(job.waiters) > 0 || w.jobs[job.id] != job {
		return
	}
	delete(w.jobs, job.id)
	delete(w.unasked, job)
	if of := job.round; of != nil && !slices.ContainsFunc(of.jobs, w.isAwaited) {
		w.end(of)
	}
}

func (w *waits) isAwaited(job *awaited) bool { return w.jobs[job.id] == job }

func (w *waits) end(round *round) {
	delete(w.rounds, round)
	round.cancel()
}

func (w *waits) askSoon(wait time.Duration, jobs ...*awaited) {
	for _, job := range jobs {
		job.round = nil
		w.unasked[job] = struct{}{}
	}
	if len(w.unasked) == 0 || w.asking {
		return
	}
	w.asking = true
	time.AfterFunc(max(wait, restBeforeAsking(len(w.jobs))), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asking = false
		w.askNow()
	})
}

func (w *waits) askNow() {
	// With all rounds under way, the smallest gives up its place and its jobs.
	if len(w.rounds) >= maxRounds {
		if smallest := w.smallest(); len(smallest.jobs)+len(w.unasked) <= maxRound {
			for _, job := range smallest.jobs {
				if w.isAwaited(job) {
					w.unasked[job] = struct{}{}
				}
			}
			w.end(smallest)
		}
	}
	jobs := make([]*awaited, 0, len(w.unasked))
	for job := range w.unasked {
		jobs = append(jobs, job)
	}
	clear(w.unasked)
	for some := range slices.Chunk(jobs, maxRound) {
		w.poll(some)
	}
}

func (w *waits) smallest() *round {
	var smallest *round
	for round := range w.rounds {
		if smallest == nil || len(round.jobs) < len(smallest.jobs) {
			smallest = round
		}
	}
	return smallest
}

func (w *waits) poll(jobs []*awaited) {
	ctx, cancel := context.WithCancel(context.Background())
	round := &round{jobs: jobs, cancel: cancel}
	w.rounds[round] = struct{}{}
	ids := make([]string, len(jobs))
	for i, job := range jobs {
		job.round, ids[i] = round, job.id
	}
	go func() {
		defer cancel()
		results, err := w.ask(ctx, ids)
		w.mu.Lock()
		defer w.mu.Unlock()
		// A round that was ended has handed its jobs on.
		if _, open := w.rounds[round]; !open {
			return
		}
		delete(w.rounds, round)
		if err != nil {
			w.failed(jobs, err)
			return
		}
		w.failures = 0
		w.answered(jobs, results)
	}()
}

func (w *waits) answered(jobs []*awaited, results []*droverv1.StatusResult) {
	var open []*awaited
	var wait time.Duration
	for i, job := range jobs {
		if !w.isAwaited(job) {
			continue
		}
		err := itemError(results[i].GetError())
		if failure := (*Error)(nil); errors.As(err, &failure) && failure.passes() {
			wait = max(wait, failure.RetryAfter, backoffAfter(1, rand.Float64))
			open = append(open, job)
			continue
		}
		if err == nil {
			job.job = jobOf(results[i].GetJob())
		}
		if err == nil && !job.job.State.Ended() {
			open = append(open, job)
			continue
		}
		w.tell(job, looked{job.job, err})
	}
	w.askSoon(wait, open...)
}

// failed deals with a call that nobody answered, or that was refused as a whole.
func (w *waits) failed(jobs []*awaited, err error) {
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(job *awaited) bool { return !w.isAwaited(job) })
	failure := (*Error)(nil)
	switch {
	case len(jobs) == 0:
	case errors.As(err, &failure) && failure.passes():
		w.failures++
		if w.failures == 1 {
			w.failingSince = time.Now()
		}
		if time.Since(w.failingSince) > w.retryFor {
			for _, job := range jobs {
				w.giveUp(job, err)
			}
			jobs = slices.DeleteFunc(jobs, func(job *awaited) bool { return !w.isAwaited(job) })
		}
		w.askSoon(max(failure.RetryAfter, backoffAfter(w.failures, rand.Float64)), jobs...)
	case len(jobs) == 1:
		w.tell(jobs[0], looked{err: err})
	default:
		// One of them is at fault, and only that one is to hear of it.
		half := len(jobs) / 2
		w.poll(jobs[:half])
		w.poll(jobs[half:])
	}
}

// giveUp tells those who did not say how long they would wait.
func (w *waits) giveUp(job *awaited, err error) {
	for waiter := range job.waiters {
		if !waiter.limited {
			waiter.told <- looked{err: err}
			w.leave(job, waiter)
		}
	}
}

func (w *waits) tell(job *awaited, told looked) {
	delete(w.jobs, job.id)
	for waiter := range job.waiters {
		waiter.told <- told
	}
	clear(job.waiters)
}
