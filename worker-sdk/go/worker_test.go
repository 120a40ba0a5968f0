package worker

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func nothing(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }

func TestRunNamesEveryMistakeAtOnce(t *testing.T) {
	w := New(Config{
		Concurrency: 20_000,
		Queues:      []Queue{{Name: "a b"}, {Name: "mail", Weight: 101}},
		Name:        strings.Repeat("x", 129),
	})
	Handle(w, "twice", nothing)
	Handle(w, "twice", nothing)
	Handle(w, "a/b", nothing)
	Handle(w, "bound", nothing, MaxConcurrent(-1))
	err := w.Run(t.Context())
	for _, want := range []string{`"twice"`, `task "a/b"`, "MaxConcurrent(-1)", `queue "a b"`, "weight 101", "20000", "129"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in: %v", want, err)
		}
	}
}

func TestAWorkerWithoutTasksDoesNotRun(t *testing.T) {
	if err := New(Config{}).Run(t.Context()); err == nil {
		t.Error("it ran")
	}
}

func TestAWorkerThatReachesNoBrokerStopsWhenTold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	w := New(Config{Addresses: []string{address}, Logger: slog.New(slog.DiscardHandler)})
	Handle(w, "a", nothing)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := w.Run(ctx); err == nil {
		t.Error("it ran a second time")
	}
}

func TestTheWaitBetweenTriesDoublesUpToABound(t *testing.T) {
	for _, test := range []struct {
		failures int
		random   float64
		want     time.Duration
		rule     string
	}{
		{0, 1, 0, "there is none without a failure"},
		{1, 1, 50 * time.Millisecond, "the first bound is 50 ms"},
		{2, 1, 100 * time.Millisecond, "it doubles"},
		{7, 1, 3200 * time.Millisecond, "it doubles per failure"},
		{8, 1, 5 * time.Second, "it ends at 5 s"},
		{1 << 40, 1, 5 * time.Second, "it stays there"},
		{8, 0, 0, "jitter may take all of it"},
		{8, 0.5, 2500 * time.Millisecond, "jitter spreads evenly"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			if got := backoffAfter(test.failures, func() float64 { return test.random }); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestARefusalNamesReasonAndFields(t *testing.T) {
	refusal, err := status.New(codes.InvalidArgument, "bad attach").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID_ARGUMENT", Domain: "drover.dev"},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "tasks[0]", Description: "too long"}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	if !isRefusal(refusal.Err()) || isRefusal(status.Error(codes.Unavailable, "")) {
		t.Error("INVALID_ARGUMENT is a refusal, UNAVAILABLE is not")
	}
	if got := explain(refusal.Err()).Error(); !strings.HasSuffix(got, "bad attach (INVALID_ARGUMENT; tasks[0]: too long)") {
		t.Error(got)
	}
}

func TestFlagsOverruleConfigAndConfigTheEnvironment(t *testing.T) {
	t.Setenv("DROVER_ADDRESS", "env:1,env:2")
	t.Setenv("DROVER_LOG_LEVEL", "warn")
	if w := New(Config{}); fmt.Sprint(w.config.Addresses) != "[env:1 env:2]" {
		t.Errorf("without a Config the addresses are %v", w.config.Addresses)
	}
	for _, test := range []struct {
		arguments   string
		addresses   string
		queues      []Queue
		concurrency int
		level       slog.Level
	}{
		{"", "[own:1]", []Queue{{"own", 0}}, 5, slog.LevelWarn},
		{"--address a:1,b:2 --queues mail=3,default --concurrency 8 --log-level debug", "[a:1 b:2]",
			[]Queue{{"mail", 3}, {"default", 0}}, 8, slog.LevelDebug},
	} {
		w := New(Config{Addresses: []string{"own:1"}, Queues: []Queue{{Name: "own"}}, Concurrency: 5})
		flags := flag.NewFlagSet("worker", flag.ContinueOnError)
		w.BindFlags(flags)
		if err := flags.Parse(strings.Fields(test.arguments)); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(w.config.Addresses) != test.addresses || !reflect.DeepEqual(w.config.Queues, test.queues) ||
			w.config.Concurrency != test.concurrency || w.level != test.level {
			t.Errorf("with %q: %+v, level %v", test.arguments, w.config, w.level)
		}
	}
}

func TestABadFlagIsRefused(t *testing.T) {
	for _, arguments := range []string{"--queues mail=x", "--concurrency many", "--log-level loud"} {
		flags := flag.NewFlagSet("worker", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		New(Config{}).BindFlags(flags)
		if err := flags.Parse(strings.Fields(arguments)); err == nil {
			t.Errorf("%s was taken", arguments)
		}
	}
}
