package parity

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	drover "github.com/drover-dev/drover/client-sdk/go"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

func Test24Eager(t *testing.T) {
	task, flaky := drover.Define[user, processed]("process_user"), drover.Define[int, int]("flaky", drover.Retries(2))
	gone := drover.Define[int, int]("gone")
	sum := drover.Define[int, int]("sum")
	w := worker.New(worker.Config{})
	worker.Serve(w, task, process)
	worker.Serve(w, flaky, func(ctx context.Context, failures int) (int, error) {
		if attempt := worker.FromContext(ctx).Attempt; attempt > failures {
			return attempt, nil
		}
		return 0, errBusy
	})
	worker.Serve(w, gone, func(context.Context, int) (int, error) { return 0, noSuchUser{42} }, worker.PermanentType[noSuchUser]())
	worker.Serve(w, sum, func(ctx context.Context, own int) (int, error) {
		inputs, err := worker.Inputs[int](ctx)
		for _, n := range inputs {
			own += n
		}
		return own, err
	})
	client, err := drover.New(drover.Config{Conn: worker.Eager(w)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := t.Context()

	if got, err := result(ctx, client, task, user{42}); err != nil || got.UserID != 42 {
		t.Errorf("simple: %v, %v", got, err)
	}
	if got, err := result(ctx, client, flaky, 2); err != nil || got != 3 {
		t.Errorf("third attempt: %v, %v", got, err)
	}
	var failed *drover.FailedError
	if _, err := result(ctx, client, flaky, 3); !errors.As(err, &failed) || failed.Job.Failures != 3 {
		t.Errorf("retries used up: %v", err)
	}
	if _, err := result(ctx, client, gone, 1); !errors.As(err, &failed) || failed.Job.Attempt != 1 || failed.Job.Failure.Reason != "PERMANENT" {
		t.Errorf("permanent: %v", err)
	}
	first, _ := task.Submit(ctx, client, user{1}, drover.Key("one"))
	second, err := task.Submit(ctx, client, user{1}, drover.Key("one"))
	if err != nil || first.Deduplicated || !second.Deduplicated {
		t.Errorf("a key: %v, %v, %v", first, second, err)
	}
	if _, err := client.Status(ctx, "process_user~nobody"); !errors.Is(err, drover.ErrJobNotFound) {
		t.Errorf("unknown: %v", err)
	}
	for job, err := range first.Watch(ctx) {
		if err != nil || job.State != drover.Succeeded {
			t.Errorf("watch: %v, %v", job.State, err)
		}
	}

	flow, err := client.SubmitFlow(ctx, drover.Chord([]drover.Node{sum.Step(1), drover.Chain(sum.Step(10), sum.Step(20))}, sum.Step(100)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := drover.FlowResult[int](ctx, flow); err != nil || got != 131 {
		t.Errorf("chord: %v, %v", got, err)
	}
	broken, err := client.SubmitFlow(ctx, drover.Chain(sum.Step(1), gone.Step(1), sum.Step(2)))
	if err != nil {
		t.Fatal(err)
	}
	var flowFailed *drover.FlowFailedError
	if _, err := drover.FlowResult[int](ctx, broken); !errors.As(err, &flowFailed) || *flowFailed.Flow.FailedMember != 1 {
		t.Errorf("a broken chain: %v", err)
	}
}

func result[In, Out any](ctx context.Context, client *drover.Client, task drover.Task[In, Out], in In) (Out, error) {
	job, err := task.Submit(ctx, client, in)
	if err != nil {
		var none Out
		return none, err
	}
	return job.Result(ctx)
}

func Test24EagerHandles(t *testing.T) {
	w := worker.New(worker.Config{})
	bankIsOpen := false
	worker.Handle(w, "charge", func(ctx context.Context, amount int) (int, error) {
		if !bankIsOpen {
			return 0, errBusy
		}
		return amount * worker.FromContext(ctx).Failures, nil
	})
	client, err := drover.New(drover.Config{Conn: worker.Eager(w)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := t.Context()
	charge := drover.Define[int, int]("charge", drover.Retries(1))
	job, err := charge.Submit(ctx, client, 7)
	if err != nil {
		t.Fatal(err)
	}
	flow, err := client.SubmitFlow(ctx, drover.Chain(charge.Step(1), charge.Step(2)))
	if err != nil {
		t.Fatal(err)
	}

	for _, handle := range []any{job, job.JobHandle, flow} {
		eachMethod(ctx, handle, func(name string, err error) {
			if err != nil && strings.Contains(err.Error(), "not there without a broker") {
				t.Errorf("%T.%s: %v", handle, name, err)
			}
		})
	}

	explained, err := job.Explain(ctx)
	if err != nil || explained.State != drover.Failed || explained.Summary != job.ID+" has ended: FAILED" {
		t.Errorf("explain: %+v, %v", explained, err)
	}
	if _, err := job.Move(ctx, drover.Place{}); !errors.Is(err, drover.ErrNotWaiting) {
		t.Errorf("move: %v", err)
	}
	// Those that the methods were tried with have come to nothing either.
	before, err := job.Status(ctx)
	if err != nil || before.State != drover.Failed || before.Failures != 2 {
		t.Fatalf("before: %+v, %v", before, err)
	}
	bankIsOpen = true
	after, err := job.Redrive(ctx)
	if err != nil || after.State != drover.Succeeded || after.Failures != 0 || after.Attempt != before.Attempt+1 {
		t.Errorf("redriven: %+v, %v", after, err)
	}
	if got, err := job.Result(ctx); err != nil || got != 0 {
		t.Errorf("the result after a redrive: %v, %v", got, err)
	}
	if _, err := job.Redrive(ctx); !errors.Is(err, drover.ErrNotFailed) {
		t.Errorf("a redrive of what has succeeded: %v", err)
	}
	if again, err := flow.Redrive(ctx); err != nil || again != 2 {
		t.Errorf("the flow's redrive: %d, %v", again, err)
	}
	if got, err := drover.FlowResult[int](ctx, flow); err != nil || got != 0 {
		t.Errorf("the flow's result: %v, %v", got, err)
	}
	if _, err := flow.Redrive(ctx); !errors.Is(err, drover.ErrNotFailed) {
		t.Errorf("a redrive of a flow that has succeeded: %v", err)
	}
}

// eachMethod calls every method of a handle that takes a context, with nothing else said, and tells what came of it.
func eachMethod(ctx context.Context, handle any, told func(name string, err error)) {
	of := reflect.ValueOf(handle)
	for i := range of.NumMethod() {
		method := of.Method(i)
		arguments := []reflect.Value{reflect.ValueOf(ctx)}
		for j := 1; j < method.Type().NumIn(); j++ {
			arguments = append(arguments, reflect.Zero(method.Type().In(j)))
		}
		call := method.Call
		if method.Type().IsVariadic() {
			call = method.CallSlice
		}
		results := call(arguments)
		last := results[len(results)-1]
		if last.Kind() == reflect.Func {
			last.Call([]reflect.Value{reflect.MakeFunc(last.Type().In(0), func(item []reflect.Value) []reflect.Value {
				last = item[1]
				return []reflect.Value{reflect.ValueOf(true)}
			})})
		}
		err, _ := last.Interface().(error)
		told(of.Type().Method(i).Name, err)
	}
}
