package worker

import (
	"errors"
	"time"
)

// What context.Cause says of a handler's context once it has ended; compare with errors.Is.
var (
	// ErrSoftTimeLimit: the job's soft time limit passed. What the handler returns still counts.
	ErrSoftTimeLimit = errors.New("soft time limit passed")
	// ErrTimeLimit: the job's hard time limit passed. The attempt is over, nothing the handler returns counts.
	ErrTimeLimit = errors.New("hard time limit passed")
	// ErrCancelled: somebody cancelled the job. Return an error to agree; a normal return still succeeds.
	ErrCancelled = errors.New("job cancelled")
	// ErrLeaseLost: the broker gave the attempt up, somebody else may run the job now. Nothing the handler returns counts.
	ErrLeaseLost = errors.New("lease lost")
	// ErrStopping: the worker stops and its drain timeout is over. A handler that returns an error gives the job back
	// without penalty.
	ErrStopping = errors.New("worker is stopping")
)

// maxDelay is the longest wait the broker takes for a retry or a snooze.
const maxDelay = 30 * 24 * time.Hour

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

type retryError struct {
	error
	after time.Duration
}

func (e retryError) Unwrap() error { return e.error }

type snoozeError struct{ delay time.Duration }

func (e snoozeError) Error() string { return "snooze for " + e.delay.String() }

type releaseError struct{}

func (releaseError) Error() string { return "release" }

// Permanent marks an error that no retry would mend: the job fails at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// RetryAfter marks an error after which the job is to run again in d instead of after the wait of its retry policy.
// It counts as a failure all the same. d is held within 0 and 30 days. RetryAfter(nil, d) is nil; to run again without
// an error there is Snooze.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return retryError{err, withinDelays(d)}
}

// Snooze, returned by a handler, puts the job off: it runs again after d, and neither a failure nor a crash is counted.
// d is held within 0 and 30 days.
func Snooze(d time.Duration) error { return snoozeError{withinDelays(d)} }

// Release, returned by a handler, gives the job back unfinished: it is ready again at once, on any worker, and neither
// a failure nor a crash is counted.
func Release() error { return releaseError{} }

func withinDelays(d time.Duration) time.Duration { return min(max(d, 0), maxDelay) }
