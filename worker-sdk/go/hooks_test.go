package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

func TestWhatWasStartedIsStoppedInReverse(t *testing.T) {
	for _, test := range []struct {
		rule, fails, want, err string
	}{
		{"all of it", "", "+a +b +c -c -b -a", ""},
		{"only what was started, when a start fails", "+b", "+a +b -a", "worker: on start: +b failed"},
		{"the others too, when a stop fails", "-b", "+a +b +c -c -b -a", "worker: on stop: -b failed"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			var said []string
			say := func(what string) func(context.Context) error {
				return func(context.Context) error {
					said = append(said, what)
					if what == test.fails {
						return errors.New(what + " failed")
					}
					return nil
				}
			}
			w := New(Config{})
			for _, name := range []string{"a", "b", "c"} {
				w.OnStartStop(say("+"+name), say("-"+name))
			}
			stop, err := w.start(t.Context())
			if err == nil {
				err = stop()
			}
			if got := strings.Join(said, " "); got != test.want || fmt.Sprint(err) != cmp.Or(test.err, "<nil>") {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestWhatIsAroundARunIsThereBeforeItAndGoneAfterIt(t *testing.T) {
	type key struct{}
	for _, test := range []struct {
		rule    string
		handler func(ctx context.Context, in int) (any, error)
		refuse  error
		want    string
		result  string
	}{
		{"of a run that goes well", func(ctx context.Context, in int) (any, error) { return ctx.Value(key{}), nil }, nil, "+a +b -b -a", `"ab"`},
		{"of one that fails", func(context.Context, int) (any, error) { return nil, errors.New("failed") }, nil, "+a +b -b -a", "failed"},
		{"of one that panics", func(context.Context, int) (any, error) { panic("oh no") }, nil, "+a +b -b -a", "panic: oh no"},
		{"of one that is refused", nil, errors.New("no session"), "+a -a", "no session"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			var said []string
			w := New(Config{})
			for _, name := range []string{"a", "b"} {
				w.Around(func(ctx context.Context, run func(context.Context) error) error {
					if name == "b" && test.refuse != nil {
						return test.refuse
					}
					said = append(said, "+"+name)
					defer func() { said = append(said, "-"+name) }()
					outer, _ := ctx.Value(key{}).(string)
					return run(context.WithValue(ctx, key{}, outer+name))
				})
			}
			Handle(w, "a", test.handler)
			payload := &droverv1.Payload{Data: []byte("1")}
			lease := &droverv1.Lease{JobId: "a~1", Task: "a", Attempt: 1}
			outcome := w.runOnce(t.Context(), w.tasks["a"], lease, payload, &droverv1.Job{})
			result := string(outcome.GetSuccess().GetResult().GetData()) + outcome.GetFailure().GetMessage()
			if got := strings.Join(said, " "); got != test.want || result != test.result {
				t.Errorf("got %s, %s", got, result)
			}
		})
	}
}

func TestASwallowedErrorIsASuccessWithoutAResult(t *testing.T) {
	w := New(Config{})
	w.Around(func(ctx context.Context, run func(context.Context) error) error {
		_ = run(ctx)
		return nil
	})
	Handle(w, "a", func(context.Context, int) (int, error) { return 0, errors.New("failed") })
	result, err := w.call(t.Context(), w.tasks["a"], &droverv1.Payload{Data: []byte("1")})
	if err != nil || string(result.GetData()) != "null" {
		t.Errorf("got %s, %v", result.GetData(), err)
	}
}

func TestInputsAreDecodedAndFailuresAreErrors(t *testing.T) {
	lease := func(inputs ...*droverv1.Input) context.Context {
		job := &Job{inputs: New(Config{}).inputsOf(&droverv1.Lease{Inputs: inputs, InputCount: uint32(len(inputs))})}
		return NewContext(t.Context(), job)
	}
	good := func(text string) *droverv1.Input {
		return &droverv1.Input{State: droverv1.JobState_JOB_STATE_SUCCEEDED, Result: &droverv1.Payload{Data: []byte(text)}}
	}
	failed := &droverv1.Input{JobId: "a~1", State: droverv1.JobState_JOB_STATE_FAILED, Failure: &droverv1.Failure{Message: "oh no"}}
	if got, err := Inputs[int](lease(good("1"), good("2"))); err != nil || fmt.Sprint(got) != "[1 2]" {
		t.Errorf("two: %v, %v", got, err)
	}
	if got, err := Input[string](lease(good(`"x"`))); err != nil || got != "x" {
		t.Errorf("one: %v, %v", got, err)
	}
	if got, err := Inputs[int](t.Context()); err != nil || len(got) != 0 {
		t.Errorf("outside of a worker: %v, %v", got, err)
	}
	for want, ctx := range map[string]context.Context{
		"2 steps come before this one": lease(good("1"), good("2")),
		"input a~1 is FAILED: oh no":   lease(failed),
		"cannot unmarshal string":      lease(good(`"x"`)),
	} {
		if _, err := Input[int](ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
