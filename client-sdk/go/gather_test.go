package drover

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// slowBroker takes a while for each call, and keeps how many jobs each had.
type slowBroker struct {
	grpc.ClientConnInterface
	takes time.Duration
	// Refuses every call that has a job of this task.
	refuses string
	mu      sync.Mutex
	calls   []int
	headers []map[string]string
}

func (b *slowBroker) Invoke(ctx context.Context, _ string, request, response any, _ ...grpc.CallOption) error {
	var jobs []*droverv1.JobSpec
	batch := &droverv1.SubmitBatchResponse{}
	var answer proto.Message = batch
	switch request := request.(type) {
	case *droverv1.SubmitRequest:
		jobs = append(jobs, request.GetJob())
		answer = &droverv1.SubmitResponse{Id: request.GetJob().GetTask() + "~" + request.GetJob().GetKey()}
	case *droverv1.SubmitBatchRequest:
		jobs = request.GetJobs()
	}
	b.mu.Lock()
	b.calls = append(b.calls, len(jobs))
	for _, job := range jobs {
		b.headers = append(b.headers, job.GetHeaders())
	}
	b.mu.Unlock()
	select {
	case <-time.After(b.takes):
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	for _, job := range jobs {
		if job.GetTask() == b.refuses {
			return status.Error(codes.Internal, "cannot be encoded")
		}
		batch.Results = append(batch.Results, &droverv1.SubmitResult{Id: job.GetTask() + "~" + job.GetKey()})
	}
	proto.Merge(response.(proto.Message), answer)
	return nil
}

func clientOf(t *testing.T, broker *slowBroker) *Client {
	client, err := New(Config{Conn: broker})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestASubmitOnAnIdleClientGoesAtOnceAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &slowBroker{takes: time.Millisecond}
		client := clientOf(t, broker)
		began := time.Now()
		for range 3 {
			if _, err := client.Submit(t.Context(), "a", 1); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 3*time.Millisecond || fmt.Sprint(broker.calls) != "[1 1 1]" {
			t.Errorf("%v took %v", broker.calls, took)
		}
	})
}

func TestSubmitsGatherWhileACallIsUnderWay(t *testing.T) {
	for _, test := range []struct {
		rule  string
		takes time.Duration
		jobs  int
		want  string
	}{
		{"what comes meanwhile goes as one", 4 * time.Millisecond, 100, "[1 99]"},
		{"as many as a batch takes do not wait", 4 * time.Millisecond, 600, "[1 99 250 250]"},
		{"behind a slow call they wait for 5 ms", time.Second, 100, "[1 99]"},
		{"four calls at a time are enough", 4 * time.Millisecond, 1_001, "[1 250 250 250 250]"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broker := &slowBroker{takes: test.takes}
				client := clientOf(t, broker)
				var group sync.WaitGroup
				began := time.Now()
				for i := range test.jobs {
					group.Go(func() {
						submitted, err := client.Submit(t.Context(), "a", i, Key(fmt.Sprint(i)))
						if err != nil || submitted.ID != fmt.Sprintf("a~%d", i) {
							t.Errorf("%d: %v, %v", i, submitted, err)
						}
					})
				}
				group.Wait()
				slices.Sort(broker.calls) // some begin at the same moment
				if got := fmt.Sprint(broker.calls); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
				if took := time.Since(began); took > test.takes*2 && took > test.takes+gatherPatience {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestASubmitThatIsGivenUpWhileItWaitsIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &slowBroker{takes: time.Second}
		client := clientOf(t, broker)
		go func() { _, _ = client.Submit(t.Context(), "a", 1) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := client.Submit(ctx, "a", 2); err == nil || ctx.Err() == nil {
			t.Error("it was not given up")
		}
		time.Sleep(2 * time.Second)
		if fmt.Sprint(broker.calls) != "[1]" {
			t.Errorf("calls of %v jobs", broker.calls)
		}
	})
}

func TestOneJobThatCannotBeSentDoesNotFailItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientOf(t, &slowBroker{takes: time.Millisecond, refuses: "bad"})
		var group sync.WaitGroup
		for i := range 50 {
			task := "good"
			if i == 20 {
				task = "bad"
			}
			group.Go(func() {
				if _, err := client.Submit(t.Context(), task, i); (err != nil) != (task == "bad") {
					t.Errorf("%s: %v", task, err)
				}
			})
		}
		group.Wait()
	})
}

func TestASubmitWithMetadataOfItsOwnGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &slowBroker{takes: time.Millisecond}
		client := clientOf(t, broker)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				ctx := metadata.AppendToOutgoingContext(t.Context(), "tenant", "acme")
				if _, err := client.Submit(ctx, "a", 1); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if fmt.Sprint(broker.calls) != "[1 1 1]" {
			t.Errorf("calls of %v jobs", broker.calls)
		}
	})
}

func TestTheTraceOfASubmitIsAmongTheHeaders(t *testing.T) {
	type span struct{}
	broker := &slowBroker{}
	client, err := New(Config{Conn: broker, InjectTrace: func(ctx context.Context, headers map[string]string) {
		headers["traceparent"] = ctx.Value(span{}).(string)
		headers["mine"] = "overruled"
	}})
	if err != nil {
		t.Fatal(err)
	}
	spec := NewSpec("a", 1, Headers(map[string]string{"mine": "stays"}))
	for _, trace := range []string{"first", "second"} {
		if _, err := client.SubmitSpec(context.WithValue(t.Context(), span{}, trace), spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.SubmitBatch(context.WithValue(t.Context(), span{}, "third"), []Spec{spec}); err != nil {
		t.Fatal(err)
	}
	want := "[map[mine:stays traceparent:first] map[mine:stays traceparent:second] map[mine:stays traceparent:third]]"
	if got := fmt.Sprint(broker.headers); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
