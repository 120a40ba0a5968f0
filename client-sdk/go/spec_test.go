package drover

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

func TestAnOptionSaysOnlyWhatItSays(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for _, test := range []struct {
		rule    string
		options []Option
		want    string
	}{
		{"nothing said is left to the broker", nil, `{}`},
		{"priority 0 is said", []Option{Priority(0)}, `{"priority":0}`},
		{"a queue", []Option{Queue("mail")}, `{"queue":"mail"}`},
		{"a delay", []Option{Delay(5 * time.Minute)}, `{"delay":"300s"}`},
		{"a time, whatever its zone", []Option{RunAt(at)}, `{"runAt":"2026-01-02T02:04:05Z"}`},
		{"a time to begin by", []Option{StartBy(at)}, `{"startBy":"2026-01-02T02:04:05Z"}`},
		{"a retry policy in parts", []Option{MaxAttempts(3), Jitter(0)}, `{"retry":{"maxAttempts":3,"jitter":0}}`},
		{"a back-off", []Option{Backoff(time.Minute, 2, time.Hour)}, `{"retry":{"initialDelay":"60s","factor":2,"maxDelay":"3600s"}}`},
		{"at most once", []Option{MaxCrashes(0)}, `{"retry":{"maxCrashes":0}}`},
		{"limits", []Option{SoftTimeLimit(time.Second), HardTimeLimit(2 * time.Second)}, `{"softTimeLimit":"1s","hardTimeLimit":"2s"}`},
		{"no result", []Option{Retention(0)}, `{"resultRetention":"0s"}`},
		{"labels and headers", []Option{Labels(map[string]string{"a": "b"}), Headers(map[string]string{"c": "d"})},
			`{"labels":{"a":"b"},"headers":{"c":"d"}}`},
	} {
		t.Run(test.rule, func(t *testing.T) {
			spec := NewSpec("mail", nil, append(test.options, Key("1"))...)
			want := &droverv1.JobSpec{Task: "mail", Key: "1", Payload: &droverv1.Payload{Data: []byte("null")}}
			said := &droverv1.JobSpec{}
			if err := protojson.Unmarshal([]byte(test.want), said); err != nil {
				t.Fatal(err)
			}
			proto.Merge(want, said)
			if spec.err != nil || !proto.Equal(spec.job, want) {
				t.Errorf("got %v, want %v (%v)", spec.job, want, spec.err)
			}
		})
	}
}

func TestAKeyIsMadeOnceAndInTheOrderOfTime(t *testing.T) {
	first, second := NewSpec("mail", nil), NewSpec("mail", nil)
	key, err := uuid.Parse(strings.TrimPrefix(first.ID(), "mail~"))
	if err != nil || key.Version() != 7 {
		t.Errorf("%s is no UUIDv7", first.ID())
	}
	if first.ID() != first.ID() || first.ID() >= second.ID() {
		t.Errorf("%s, then %s", first.ID(), second.ID())
	}
}

func TestAMistakeInASpecIsReportedBySubmit(t *testing.T) {
	client, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for want, spec := range map[string]Spec{
		"payload of mail": NewSpec("mail", make(chan int)),
		"priority: -1":    NewSpec("mail", nil, Priority(-1)),
	} {
		if _, err := client.SubmitSpec(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		answers, err := client.SubmitBatch(t.Context(), []Spec{spec})
		var failed *BatchError
		if !errors.As(err, &failed) || answers[0].Err == nil {
			t.Errorf("in a batch: %v", err)
		}
	}
}

func TestABatchFitsIntoItsCalls(t *testing.T) {
	small, big := NewSpec("a", 1), NewSpec("a", strings.Repeat("x", 500_000))
	reject := NewSpec("a", 1, RejectExisting())
	times := func(n int, spec Spec) []Spec {
		specs := make([]Spec, n)
		for i := range specs {
			specs[i] = spec
		}
		return specs
	}
	for _, test := range []struct {
		rule  string
		specs []Spec
		want  int
	}{
		{"all that there are", times(3, small), 3},
		{"1,000 jobs", times(1001, small), 1000},
		{"what stays below 4 MiB", times(10, big), 7},
		{"one kind of conflict policy", append(times(2, small), reject), 2},
	} {
		t.Run(test.rule, func(t *testing.T) {
			pending := make([]int, len(test.specs))
			for i := range pending {
				pending[i] = i
			}
			if got := batchSize(test.specs, pending); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestAPayloadIsEncodedAndDecodedToTheLastDigit(t *testing.T) {
	for _, text := range []string{`{"n":9007199254740993}`, `null`, `"naïve <b>"`, `[1e400,-0]`} {
		var value any
		if err := (&Payload{Data: []byte(text)}).Decode(&value); err != nil {
			t.Fatal(err)
		}
		if back, err := encode(value); err != nil || string(back.GetData()) != text {
			t.Errorf("%s came back as %s (%v)", text, back.GetData(), err)
		}
	}
	var plain []byte
	if err := (&Payload{Data: []byte{0, 255}, ContentType: "image/png"}).Decode(&plain); err != nil || len(plain) != 2 {
		t.Errorf("bytes: %v, %v", plain, err)
	}
	var number int
	for _, payload := range []Payload{{Data: []byte("1 2")}, {Data: []byte("x")}, {Data: []byte("1"), ContentType: "text/plain"}} {
		if err := payload.Decode(&number); err == nil {
			t.Errorf("%s (%s) was decoded", payload.Data, payload.ContentType)
		}
	}
	whole, err := encode(Payload{Data: []byte("<x/>"), ContentType: "text/xml"})
	if err != nil || whole.GetContentType() != "text/xml" || string(whole.GetData()) != "<x/>" {
		t.Errorf("whole: %v, %v", whole, err)
	}
}

func TestAJobIsReadAsTheBrokerTellsIt(t *testing.T) {
	value := 0.5
	job := jobOf(&droverv1.Job{
		Id:          "mail~1",
		State:       droverv1.JobState_JOB_STATE_RETRYING,
		Attempt:     2,
		SubmittedAt: timestamppb.New(time.Unix(1, 0)),
		Progress:    &droverv1.Progress{Value: &value, Detail: []byte(`"half"`)},
		Failure:     &droverv1.Failure{Reason: droverv1.FailureReason_FAILURE_REASON_TIME_LIMIT},
		History:     []*droverv1.Attempt{{Number: 1, Outcome: droverv1.AttemptOutcome_ATTEMPT_OUTCOME_CRASHED}},
	})
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"mail~1","task":"","key":"","queue":"","priority":0,"state":"RETRYING","attempt":2,"failures":0,"crashes":0,` +
		`"submitted_at":"1970-01-01T00:00:01Z","progress":{"value":0.5,"detail":"half"},"failure":{"reason":"TIME_LIMIT"},` +
		`"history":[{"number":1,"outcome":"CRASHED"}],"revision":0}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if state := stateOf(99); state.Ended() || state != "99" {
		t.Errorf("a state of a later broker is %s", state)
	}
}
