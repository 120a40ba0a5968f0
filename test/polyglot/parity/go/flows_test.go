package parity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	drover "github.com/drover-dev/drover/client-sdk/go"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

type number struct {
	N int `json:"n"`
}

// arithmetic is what flows are made of here.
type arithmetic struct {
	add   drover.Task[number, int]
	sum   drover.Task[struct{}, int]
	fail  drover.Task[struct{}, int]
	names drover.Task[struct{}, string]
	// Runs of sum.
	sums *atomic.Int64
	// fail fails as long as it is set.
	broken *atomic.Bool
}

func calculating(t *testing.T) (*scene, arithmetic) {
	s := setting(t, worker.Config{Concurrency: 20})
	tasks := arithmetic{
		define[number, int](s, "add"), define[struct{}, int](s, "sum"), define[struct{}, int](s, "fail"),
		define[struct{}, string](s, "names"), &atomic.Int64{}, &atomic.Bool{},
	}
	tasks.broken.Store(true)
	total := func(ctx context.Context) (sum int, err error) {
		inputs, err := worker.Inputs[int](ctx)
		for _, n := range inputs {
			sum += n
		}
		return sum, err
	}
	worker.Serve(s.worker, tasks.add, func(ctx context.Context, in number) (int, error) {
		sum, err := total(ctx)
		return sum + in.N, err
	})
	worker.Serve(s.worker, tasks.sum, func(ctx context.Context, _ struct{}) (int, error) {
		tasks.sums.Add(1)
		return total(ctx)
	})
	worker.Serve(s.worker, tasks.fail, func(ctx context.Context, _ struct{}) (int, error) {
		if tasks.broken.Load() {
			return 0, worker.Permanent(errBusy)
		}
		return total(ctx)
	})
	worker.Serve(s.worker, tasks.names, func(ctx context.Context, _ struct{}) (string, error) {
		inputs, err := worker.FromContext(ctx).Inputs(ctx)
		var states []string
		for _, input := range inputs {
			states = append(states, input.State+":"+input.Message)
		}
		return strings.Join(states, " "), err
	})
	s.run()
	return s, tasks
}

func Test19Chain(t *testing.T) {
	s, tasks := calculating(t)
	flow := must(s.client.SubmitFlow(s.ctx, drover.Chain(
		tasks.add.Step(number{1}), tasks.add.Step(number{20}), tasks.add.Step(number{300}),
	)))(s)
	same(s, "the last result", must(drover.FlowResult[int](s.ctx, flow))(s), 321)

	broken := must(s.client.SubmitFlow(s.ctx, drover.Chain(
		tasks.add.Step(number{1}), tasks.fail.Step(struct{}{}), tasks.add.Step(number{300}),
	)))(s)
	_, err := drover.FlowResult[int](s.ctx, broken)
	var failed *drover.FlowFailedError
	if !errors.As(err, &failed) {
		s.Fatal(err)
	}
	same(s, "the failed step", *failed.Flow.FailedMember, 1)
	same(s, "its failure", failed.Flow.Failure.Message, errBusy.Error())

	tasks.broken.Store(false)
	if n := must(broken.Redrive(s.ctx))(s); n != 2 {
		s.Errorf("%d steps are redriven", n)
	}
	same(s, "once it is mended", must(drover.FlowResult[int](s.ctx, broken))(s), 301)
}

func Test20Group(t *testing.T) {
	s, tasks := calculating(t)
	var nodes []drover.Node
	for n := range 20 {
		nodes = append(nodes, tasks.add.Step(number{n}))
	}
	flow := must(s.client.SubmitFlow(s.ctx, drover.Group(nodes...), drover.FlowKey(s.queue), drover.FlowName("twenty")))(s)
	results := must(drover.FlowResults[int](s.ctx, flow))(s)
	for n, result := range results {
		same(s, "result", result, n)
	}
	same(s, "results", len(results), 20)
	again := must(s.client.SubmitFlow(s.ctx, drover.Group(nodes...), drover.FlowKey(s.queue)))(s)
	same(s, "a second submit of its key", must(again.Status(s.ctx))(s).Name, "twenty")

	partly := must(s.client.SubmitFlow(s.ctx, drover.Group(
		tasks.add.Step(number{1}), tasks.fail.Step(struct{}{}, drover.IfItFails(drover.SkipDependents)), tasks.add.Step(number{3}),
	)))(s)
	_, err := drover.FlowResults[int](s.ctx, partly)
	var failed *drover.FlowFailedError
	if !errors.As(err, &failed) {
		s.Fatal(err)
	}
	var states []drover.State
	for _, outcome := range failed.Outcomes {
		states = append(states, outcome.State)
	}
	same(s, "what became of each", fmt.Sprint(states), "[SUCCEEDED FAILED SUCCEEDED]")
}

func Test21Chord(t *testing.T) {
	s, tasks := calculating(t)
	flow := must(s.client.SubmitFlow(s.ctx, drover.Chord(
		[]drover.Node{
			tasks.add.Step(number{1}),
			drover.Chain(tasks.add.Step(number{10}), drover.Group(tasks.add.Step(number{20}), tasks.add.Step(number{30}))),
		},
		tasks.sum.Step(struct{}{}),
	)))(s)
	same(s, "the callback's result", must(drover.FlowResult[int](s.ctx, flow))(s), 1+30+40)
	same(s, "callbacks", tasks.sums.Load(), 1)

	on := must(s.client.SubmitFlow(s.ctx, drover.Chord(
		[]drover.Node{tasks.add.Step(number{1}), tasks.fail.Step(struct{}{}, drover.IfItFails(drover.Continue))},
		tasks.names.Step(struct{}{}),
	)))(s)
	same(s, "a failure among the inputs", must(drover.FlowResult[string](s.ctx, on))(s), "SUCCEEDED: FAILED:"+errBusy.Error())
}

func TestAGraphRunsEachVertexBehindThoseItNames(t *testing.T) {
	s, tasks := calculating(t)
	flow := must(s.client.SubmitFlow(s.ctx, drover.Graph(
		drover.Vertex{Name: "top", Node: tasks.sum.Step(struct{}{}), After: []string{"left", "right"}},
		drover.Vertex{Name: "left", Node: tasks.add.Step(number{10}), After: []string{"base"}},
		drover.Vertex{Name: "right", Node: tasks.add.Step(number{100}), After: []string{"base"}},
		drover.Vertex{Name: "base", Node: tasks.add.Step(number{1})},
	)))(s)
	same(s, "result", must(drover.FlowResult[int](s.ctx, flow))(s), 11+101)
}

func TestInputsThatAreTooLargeForALeaseAreReadInPages(t *testing.T) {
	s := setting(t, worker.Config{Concurrency: 4})
	make_, measure := define[int, string](s, "make"), define[struct{}, []int](s, "measure")
	worker.Serve(s.worker, make_, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
	worker.Serve(s.worker, measure, func(ctx context.Context, _ struct{}) (sizes []int, err error) {
		texts, err := worker.Inputs[string](ctx)
		for _, text := range texts {
			sizes = append(sizes, len(text))
		}
		return sizes, err
	})
	s.run()
	// 20 of 200 KB are more than a lease (256 KiB) and than a page (3 MiB) has.
	var header []drover.Node
	for i := range 20 {
		header = append(header, make_.Step(200_000+i))
	}
	flow := must(s.client.SubmitFlow(s.ctx, drover.Chord(header, measure.Step(struct{}{}))))(s)
	sizes := must(drover.FlowResult[[]int](s.ctx, flow))(s)
	same(s, "inputs", len(sizes), 20)
	for i, size := range sizes {
		same(s, "size", size, 200_000+i)
	}
}

func TestAFlowIsCancelledAsAWhole(t *testing.T) {
	s := setting(t, worker.Config{})
	held := newHold()
	hold := define[int, int](s, "hold")
	worker.Serve(s.worker, hold, held.handle)
	s.run()
	flow := must(s.client.SubmitFlow(s.ctx, drover.Chain(hold.Step(1), hold.Step(2))))(s)
	held.wait(s)
	did := must(flow.Cancel(s.ctx, "not wanted any more"))(s)
	same(s, "what the cancel did", did, drover.FlowCancellation{Cancelled: 1, Requested: 1})
	same(s, "state", must(flow.Wait(s.ctx))(s).State, drover.Cancelled)
}
