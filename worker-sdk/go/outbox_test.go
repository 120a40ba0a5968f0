package worker

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// full returns an attached outbox in which n runs have each an outcome of so many bytes.
func full(n, bytes int) (*outbox, []*run) {
	o := newOutbox()
	o.open(0)
	runs := make([]*run, n)
	for i := range runs {
		runs[i] = &run{outcome: succeeded(&droverv1.Payload{Data: make([]byte, bytes)})}
		o.name(runs[i], uint64(i+1))
		o.post(runs[i])
	}
	return &o, runs
}

func TestAMessageCarriesAtMostAThousandOutcomesAndAMebibyte(t *testing.T) {
	for _, test := range []struct {
		outcomes, bytes int
		want            string
	}{
		{1000, 10, "[1000]"},
		{2001, 10, "[1000 1000 1]"},
		{9, maxResult, "[3 3 3]"},
	} {
		o, _ := full(test.outcomes, test.bytes)
		messages, again := o.take(false)
		var sizes []int
		for _, message := range messages {
			sizes = append(sizes, len(message.GetOutcomes().GetOutcomes()))
			if size := proto.Size(message); size > maxMessage+1000 {
				t.Errorf("a message of %d bytes", size)
			}
		}
		if fmt.Sprint(sizes) != test.want || again {
			t.Errorf("%d outcomes of %d bytes went as %v, want %s", test.outcomes, test.bytes, sizes, test.want)
		}
	}
}

func TestOutcomesAreGatheredWhileTheBrokerIsBusy(t *testing.T) {
	o, runs := full(maxFlights, 1)
	waiting := o.outcomes
	for i := range waiting { // one message each
		o.outcomes = waiting[i : i+1]
		o.take(false)
	}
	late := &run{outcome: released()}
	o.name(late, 99)
	o.post(late)
	if messages, again := o.take(false); len(messages) != 0 || !again {
		t.Errorf("with %d messages unsettled %v went up", maxFlights, messages)
	}
	o.forget(runs[0])
	if messages, _ := o.take(false); summary(messages) != "99:release" {
		t.Errorf("after one was settled %q went up", summary(messages))
	}
	another := &run{outcome: released()}
	o.name(another, 100)
	o.post(another)
	if messages, _ := o.take(true); summary(messages) != "100:release" {
		t.Errorf("after the gathering time %q went up", summary(messages))
	}
}

func TestOnlyTheLatestProgressIsSentAndNotTooOften(t *testing.T) {
	o, runs := full(1, 1)
	o.outcomes = nil
	at := func(value float64) { o.postProgress(runs[0], &droverv1.Progress{Value: &value}) }
	at(0.1)
	at(0.2)
	if messages, again := o.take(false); summary(messages) != "1:at 0.2" || !again {
		t.Errorf("first: %q", summary(messages))
	}
	at(0.3)
	at(0.4)
	if messages, again := o.take(false); len(messages) != 0 || !again {
		t.Errorf("at once again: %q", summary(messages))
	}
	if messages, _ := o.take(true); summary(messages) != "1:at 0.4" {
		t.Errorf("after the gathering time: %q", summary(messages))
	}
	if _, again := o.take(true); again {
		t.Error("goes on though there is nothing to send")
	}
}

func TestAPingIsAnsweredBeforeAnythingElse(t *testing.T) {
	o, _ := full(1, 1)
	o.pongs = 1
	o.announce(3)
	if messages, _ := o.take(false); summary(messages) != "pong; credit 3; 1:success \x00" {
		t.Errorf("went up: %q", summary(messages))
	}
}

func TestNothingGoesUpBetweenSessions(t *testing.T) {
	o, _ := full(1, 1)
	o.close()
	o.announce(3)
	if messages, again := o.take(true); len(messages) != 0 || again {
		t.Errorf("went up: %q", summary(messages))
	}
}
