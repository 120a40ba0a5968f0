package drover

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

func TestTheWaitBetweenTriesDoublesUpToABound(t *testing.T) {
	for _, test := range []struct {
		failures int
		random   float64
		want     time.Duration
		rule     string
	}{
		{1, 1, 50 * time.Millisecond, "the first bound is 50 ms"},
		{3, 1, 200 * time.Millisecond, "it doubles per failure"},
		{8, 1, 5 * time.Second, "it ends at 5 s"},
		{1 << 40, 1, 5 * time.Second, "it stays there"},
		{8, 0, 0, "jitter may take all of it"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			if got := backoffAfter(test.failures, func() float64 { return test.random }); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestACallIsRepeatedAsLongAsThereIsTime(t *testing.T) {
	for _, test := range []struct {
		rule       string
		deadline   time.Duration
		retryAfter time.Duration
		want       bool
		atLeast    time.Duration
	}{
		{"up to the client's bound where the context has none", 0, 0, true, 0},
		{"not beyond the client's bound", 0, time.Hour, false, 0},
		{"not beyond the context's deadline", time.Second, 2 * time.Second, false, 0},
		{"not before the broker says that it helps", time.Minute, 3 * time.Second, true, 3 * time.Second},
	} {
		t.Run(test.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.deadline > 0 {
					bounded, cancel := context.WithTimeout(ctx, test.deadline)
					defer cancel()
					ctx = bounded
				}
				client := &Client{retryFor: 30 * time.Second}
				began := time.Now()
				got := client.newRetry(ctx).again(ctx, &Error{Code: codes.Unavailable, RetryAfter: test.retryAfter})
				if took := time.Since(began); got != test.want || took < test.atLeast {
					t.Errorf("got %v after %v", got, took)
				}
			})
		})
	}
}

// unreachable is an address at which nobody listens.
func unreachable(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestWithoutABrokerCallsEndWithTheirContext(t *testing.T) {
	client, err := New(Config{Addresses: []string{unreachable(t), unreachable(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, do := range map[string]func(context.Context) error{
		"Submit": func(ctx context.Context) error { _, err := client.Submit(ctx, "a", nil); return err },
		"SubmitBatch": func(ctx context.Context) error {
			_, err := client.SubmitBatch(ctx, []Spec{NewSpec("a", 1)})
			return err
		},
		"Status": func(ctx context.Context) error { _, err := client.Status(ctx, "a~1"); return err },
		"Cancel": func(ctx context.Context) error { _, _, err := client.Cancel(ctx, "a~1", ""); return err },
		"Watch": func(ctx context.Context) error {
			var last error
			for _, err := range client.Watch(ctx, "a~1") {
				last = err
			}
			return last
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			err := do(ctx)
			var failure *Error
			if !errors.As(err, &failure) || failure.Code != codes.Unavailable && failure.Code != codes.DeadlineExceeded {
				t.Errorf("got %v", err)
			}
		})
	}
}
