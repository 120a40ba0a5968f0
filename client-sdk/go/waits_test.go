package drover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// endingBroker holds waits until one of their jobs has ended.
type endingBroker struct {
	grpc.ClientConnInterface
	mu    sync.Mutex
	moved chan struct{}
	ended map[string]bool
	// Answers nothing but this.
	away error
	// Jobs of each wait, and of each look.
	waits, looks []int
}

func newEndingBroker(ended ...string) *endingBroker {
	b := &endingBroker{moved: make(chan struct{}), ended: map[string]bool{}}
	for _, id := range ended {
		b.ended[id] = true
	}
	return b
}

func (b *endingBroker) end(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended[id] = true
	close(b.moved)
	b.moved = make(chan struct{})
}

func (b *endingBroker) be(away error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func (b *endingBroker) Invoke(ctx context.Context, _ string, request, response any, _ ...grpc.CallOption) error {
	time.Sleep(time.Millisecond)
	var ids []string
	patience := time.After(0)
	b.mu.Lock()
	switch request := request.(type) {
	case *droverv1.WaitRequest:
		ids, patience = request.GetIds(), time.After(request.GetTimeout().AsDuration())
		b.waits = append(b.waits, len(ids))
	case *droverv1.StatusBatchRequest:
		ids = request.GetIds()
		b.looks = append(b.looks, len(ids))
	case *droverv1.StatusRequest:
		ids = []string{request.GetId()}
		b.looks = append(b.looks, 1)
	}
	b.mu.Unlock()
	if slices.Contains(ids, "no id") {
		return status.Error(codes.InvalidArgument, "not an id")
	}
	for {
		b.mu.Lock()
		results, any, moved, away := b.results(ids), b.any(ids), b.moved, b.away
		b.mu.Unlock()
		if away != nil {
			return away
		}
		select {
		case <-patience:
			any = true
		default:
		}
		if any {
			proto.Merge(response.(proto.Message), answerTo(response, results))
			return nil
		}
		select {
		case <-moved:
		case <-patience:
			patience = time.After(0)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func (b *endingBroker) any(ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return b.ended[id] || id == "nobody's" })
}

func (b *endingBroker) results(ids []string) (results []*droverv1.StatusResult) {
	for _, id := range ids {
		job := &droverv1.Job{Id: id, State: droverv1.JobState_JOB_STATE_RUNNING}
		if b.ended[id] {
			job.State = droverv1.JobState_JOB_STATE_SUCCEEDED
		}
		result := &droverv1.StatusResult{Job: job}
		if id == "nobody's" {
			result = &droverv1.StatusResult{Error: &droverv1.ItemStatus{
				Code: int32(codes.NotFound), Reason: "JOB_NOT_FOUND", Message: "no such job",
			}}
		}
		results = append(results, result)
	}
	return results
}

func answerTo(response any, results []*droverv1.StatusResult) proto.Message {
	switch response.(type) {
	case *droverv1.WaitResponse:
		return &droverv1.WaitResponse{Results: results}
	case *droverv1.StatusBatchResponse:
		return &droverv1.StatusBatchResponse{Results: results}
	}
	return &droverv1.StatusResponse{Job: results[0].GetJob()}
}

func waitingClient(t *testing.T, broker *endingBroker) *Client {
	client, err := New(Config{Conn: broker, RetryFor: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestManyWaitsShareAFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newEndingBroker()
		client := waitingClient(t, broker)
		for i := range 2_000 {
			broker.ended[fmt.Sprintf("a~%d", i)] = true
		}
		var group sync.WaitGroup
		for id := range broker.ended {
			group.Go(func() {
				if job, err := client.Wait(t.Context(), id); err != nil || job.ID != id || job.State != Succeeded {
					t.Errorf("%s: %v, %v", id, job, err)
				}
			})
		}
		group.Wait()
		// The first few go at once.
		if len(broker.waits) > 40 {
			t.Errorf("calls of %v jobs", broker.waits)
		}
	})
}

func TestAWaitAloneIsToldOfTheEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newEndingBroker()
		client := waitingClient(t, broker)
		began := time.Now()
		go func() {
			// Longer than one long poll.
			time.Sleep(70 * time.Second)
			broker.end("a~1")
		}()
		job, err := client.Wait(t.Context(), "a~1")
		if took := time.Since(began); err != nil || job.State != Succeeded || took > 70*time.Second+10*time.Millisecond {
			t.Errorf("%v, %v after %v", job, err, took)
		}
	})
}

func TestTheEndOfOneJobDoesNotEndTheWaitForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newEndingBroker("a~0")
		client := waitingClient(t, broker)
		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				if job, err := client.Wait(t.Context(), fmt.Sprintf("a~%d", i)); err != nil || !job.State.Ended() {
					t.Errorf("%v, %v", job, err)
				}
			})
		}
		for i := range 3 {
			time.Sleep(time.Second)
			broker.end(fmt.Sprintf("a~%d", i))
		}
		group.Wait()
	})
}

func TestAWaitThatIsGivenUpKnowsWhereTheJobStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newEndingBroker()
		client := waitingClient(t, broker)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Wait(ctx, "a~1")
		var waited *WaitError
		if !errors.As(err, &waited) || waited.State != Running || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if ctx.Err() != nil {
			t.Error("it took longer than the context")
		}
		// Nobody asks for the job any more.
		time.Sleep(2 * longPoll)
		if len(broker.waits) != 1 {
			t.Errorf("%d waits", len(broker.waits))
		}
	})
}

func TestAJobThatNobodyKnowsDoesNotFailTheWaitForOthers(t *testing.T) {
	for _, id := range []string{"nobody's", "no id"} {
		synctest.Test(t, func(t *testing.T) {
			broker := newEndingBroker()
			asked := []string{id}
			for i := range 100 {
				asked = append(asked, fmt.Sprintf("a~%d", i))
				broker.ended[asked[i+1]] = true
			}
			client := waitingClient(t, broker)
			// All of them wait behind one failure, and are asked for together after it.
			broker.be(status.Error(codes.Unavailable, "away"))
			var group sync.WaitGroup
			for _, asked := range asked {
				group.Go(func() {
					if _, err := client.Wait(t.Context(), asked); (err != nil) != (asked == id) {
						t.Errorf("%s: %v", asked, err)
					}
				})
			}
			time.Sleep(2 * time.Millisecond)
			broker.be(nil)
			group.Wait()
		})
	}
}

func TestAWaitOutlivesABrokerThatIsAwayForAWhileOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newEndingBroker("a~1")
		broker.be(status.Error(codes.Unavailable, "away"))
		client := waitingClient(t, broker)
		go func() {
			time.Sleep(5 * time.Second)
			broker.be(nil)
		}()
		if job, err := client.Wait(t.Context(), "a~1"); err != nil || job.State != Succeeded {
			t.Errorf("%v, %v", job, err)
		}
		broker.be(status.Error(codes.Unavailable, "away"))
		var failure *Error
		if _, err := client.Wait(t.Context(), "a~2"); !errors.As(err, &failure) || failure.Code != codes.Unavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestLooksGatherWhileACallIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newEndingBroker("a~1")
		client := waitingClient(t, broker)
		var group sync.WaitGroup
		for i := range 100 {
			id, known := fmt.Sprintf("a~%d", i), true
			if i == 50 {
				id, known = "nobody's", false
			}
			group.Go(func() {
				job, err := client.Status(t.Context(), id)
				if known && (err != nil || job.ID != id) || !known && !errors.Is(err, ErrJobNotFound) {
					t.Errorf("%s: %v, %v", id, job, err)
				}
			})
		}
		group.Wait()
		if len(broker.looks) != 2 {
			t.Errorf("calls of %v jobs", broker.looks)
		}
	})
}
