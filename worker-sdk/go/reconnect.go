package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// After two sessions in a row that broke sooner there is a pause: the next one will not last either.
	stableSession = time.Second
)

// stayAttached keeps up a session with one broker or another until ctx ends or the worker has drained. Handlers run on
// between sessions. It fails only when the first broker to be reached refuses this worker for what it is.
func (w *Worker) stayAttached(ctx context.Context) error {
	known, short := false, false
	failures := 0
	// It begins anywhere, so that many workers spread over the brokers.
	for next := rand.IntN(len(w.config.Addresses)); ; {
		address := w.config.Addresses[next%len(w.config.Addresses)]
		began := time.Now()
		attached, err := w.session(ctx, address)
		if ctx.Err() != nil || errors.Is(err, errDrained) {
			return nil
		}
		known = known || attached
		if !known && isRefusal(err) {
			return fmt.Errorf("worker: refused by %s: %w", address, explain(err))
		}
		// There is only a second to come back in before the leases are lost.
		atOnce := attached && (!short || time.Since(began) >= stableSession)
		if attached {
			short = time.Since(began) < stableSession
		}
		if atOnce {
			failures = 0
		} else {
			failures++
		}
		wait := backoffAfter(failures, rand.Float64)
		// A broken connection may be all that is broken, so the same broker is asked first.
		if !atOnce || errors.Is(err, errBrokerDrains) || errors.Is(err, errSilent) {
			next++
		}
		if errors.Is(err, errBrokerDrains) && len(w.config.Addresses) == 1 {
			wait = backoffAfter(failures+1, rand.Float64)
		}
		w.log.Warn("worker_detached", "address", address, "error", err.Error(), "retry_in_ms", wait.Milliseconds())
		select {
		case <-time.After(wait):
		case <-w.ledger.empty:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// backoffAfter is the wait before the next try: at random within a bound that begins at 50 ms, doubles with each
// failure and ends at 5 s; none without a failure. random yields [0, 1).
func backoffAfter(failures int, random func() float64) time.Duration {
	if failures == 0 {
		return 0
	}
	bound := maxBackoff
	if doublings := failures - 1; doublings < 10 {
		bound = min(maxBackoff, firstBackoff<<doublings)
	}
	return time.Duration(random() * float64(bound))
}

// isRefusal tells what trying again would not mend.
func isRefusal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.NotFound:
		return true
	}
	return false
}

// explain adds the reason and the fields that the broker named to the text of its error.
func explain(err error) error {
	var notes []string
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			notes = append(notes, detail.GetReason())
		case *errdetails.BadRequest:
			for _, field := range detail.GetFieldViolations() {
				notes = append(notes, field.GetField()+": "+field.GetDescription())
			}
		}
	}
	if len(notes) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(notes, "; "))
}
