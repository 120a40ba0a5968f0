package worker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// golden reads one of the files that pin what travels between the languages.
func golden(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "test", "contract", "golden", name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// exact is a JSON value with its numbers by value, whatever their form.
func exact(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return exactly(value)
}

func exactly(value any) any {
	switch value := value.(type) {
	case json.Number:
		number, _ := new(big.Rat).SetString(value.String())
		return number.String()
	case []any:
		for i := range value {
			value[i] = exactly(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = exactly(value[name])
		}
	}
	return value
}

// through sends a payload through a handler that returns it.
func through[Value any](payload []byte) *droverv1.Outcome {
	w := New(Config{})
	Handle(w, "echo", func(_ context.Context, in Value) (Value, error) { return in, nil })
	return runGolden(w, "echo", payload)
}

func runGolden(w *Worker, task string, payload []byte) *droverv1.Outcome {
	lease := &droverv1.Lease{JobId: task + "~1", Task: task, Attempt: 1}
	return w.runOnce(context.Background(), w.tasks[task], lease, &droverv1.Payload{Data: payload}, &droverv1.Job{})
}

func TestPayloadsAreThoseOfTheGoldenFile(t *testing.T) {
	var file struct {
		Values, Refused []struct{ Name, Text string }
		Timestamps      []struct {
			Name   string
			UnixMS int64 `json:"unix_ms"`
			Texts  []string
		}
		Bytes []struct{ Name, Hex, Base64 string }
	}
	golden(t, "payloads.json", &file)
	for _, test := range file.Values {
		t.Run(test.Name, func(t *testing.T) {
			outcome := through[any]([]byte(test.Text))
			got := outcome.GetSuccess().GetResult().GetData()
			if outcome.GetSuccess() == nil || !reflect.DeepEqual(exact(t, got), exact(t, []byte(test.Text))) {
				t.Errorf("%s came out as %s (%v)", test.Text, got, outcome.GetFailure())
			}
		})
	}
	for _, test := range file.Refused {
		t.Run(test.Name, func(t *testing.T) {
			if reason := through[any]([]byte(test.Text)).GetFailure().GetReason(); reason != droverv1.FailureReason_FAILURE_REASON_PERMANENT {
				t.Errorf("%s: %v", test.Text, reason)
			}
		})
	}
	for _, test := range file.Timestamps {
		t.Run(test.Name, func(t *testing.T) {
			at := time.UnixMilli(test.UnixMS).UTC()
			written, err := encode(at)
			if err != nil {
				t.Fatal(err)
			}
			var text string
			if err := json.Unmarshal(written.GetData(), &text); err != nil || !slices.Contains(test.Texts, text) {
				t.Errorf("%v is written as %s", at, text)
			}
			for _, text := range test.Texts {
				var read time.Time
				quoted, _ := json.Marshal(text)
				if err := decode(&droverv1.Payload{Data: quoted}, &read); err != nil || !read.Equal(at) {
					t.Errorf("%s is read as %v, %v", text, read, err)
				}
			}
		})
	}
	for _, test := range file.Bytes {
		t.Run(test.Name, func(t *testing.T) {
			plain, err := hex.DecodeString(test.Hex)
			if err != nil {
				t.Fatal(err)
			}
			written, err := encode(struct{ Data []byte }{plain})
			want := `{"Data":"` + test.Base64 + `"}`
			if err != nil || string(written.GetData()) != want {
				t.Errorf("written as %s, %v", written.GetData(), err)
			}
			var read struct{ Data []byte }
			if err := decode(&droverv1.Payload{Data: []byte(want)}, &read); err != nil || base64.StdEncoding.EncodeToString(read.Data) != test.Base64 {
				t.Errorf("read as %x, %v", read.Data, err)
			}
		})
	}
}

func TestFailuresAreThoseOfTheGoldenFile(t *testing.T) {
	var file struct {
		Failures []struct {
			Name, Handler, Message, Reason string
			AfterMS                        int64  `json:"after_ms"`
			RetryAfterMS                   *int64 `json:"retry_after_ms"`
			MessageBytesAtMost             int    `json:"message_bytes_at_most"`
		}
	}
	golden(t, "failures.json", &file)
	for _, test := range file.Failures {
		t.Run(test.Name, func(t *testing.T) {
			w := New(Config{})
			Handle(w, "fails", func(context.Context, any) (any, error) {
				err := errors.New(test.Message)
				switch test.Handler {
				case "permanent":
					err = Permanent(err)
				case "retry":
					err = RetryAfter(err, time.Duration(test.AfterMS)*time.Millisecond)
				case "unserialisable":
					return make(chan int), nil
				}
				return nil, err
			})
			payload := []byte("null")
			if test.Handler == "payload_not_json" {
				payload = []byte("{")
			}
			failure := runGolden(w, "fails", payload).GetFailure()
			if failure == nil || failure.GetReason().String() != "FAILURE_REASON_"+test.Reason {
				t.Fatalf("got %v", failure)
			}
			own := test.Handler == "error" || test.Handler == "permanent" || test.Handler == "retry"
			switch most := test.MessageBytesAtMost; {
			case most > 0 && (len(failure.GetMessage()) > most || failure.GetMessage() == ""):
				t.Errorf("a message of %d bytes", len(failure.GetMessage()))
			case most == 0 && own && failure.GetMessage() != test.Message:
				t.Errorf("message %q", failure.GetMessage())
			}
			if (failure.GetRetryAfter() == nil) != (test.RetryAfterMS == nil) ||
				test.RetryAfterMS != nil && failure.GetRetryAfter().AsDuration().Milliseconds() != *test.RetryAfterMS {
				t.Errorf("retry after %v", failure.GetRetryAfter())
			}
		})
	}
}

func TestProgressIsThatOfTheGoldenFile(t *testing.T) {
	var file struct {
		Progress []struct {
			Name   string
			Value  *float64
			Detail *string
		}
	}
	golden(t, "progress.json", &file)
	for _, test := range file.Progress {
		t.Run(test.Name, func(t *testing.T) {
			var got *droverv1.Progress
			job := &Job{report: func(progress *droverv1.Progress) { got = progress }}
			var detail any
			if test.Detail != nil {
				decoder := json.NewDecoder(bytes.NewReader([]byte(*test.Detail)))
				decoder.UseNumber()
				if err := decoder.Decode(&detail); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if test.Value != nil {
				err = job.Progress(*test.Value, detail)
			} else {
				err = job.ProgressDetail(detail)
			}
			if test.Value == nil && test.Detail == nil {
				if err == nil { // Go has no way to say nothing at all
					t.Error("a report of nothing was taken")
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got.Value, test.Value) || (len(got.GetDetail()) > 0) != (test.Detail != nil) {
				t.Fatalf("got %v, %v", got, err)
			}
			if test.Detail != nil && !reflect.DeepEqual(exact(t, got.GetDetail()), exact(t, []byte(*test.Detail))) {
				t.Errorf("detail %s", got.GetDetail())
			}
		})
	}
}
