package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

type addressError struct{ address string }

func (e *addressError) Error() string { return "no such address: " + e.address }

// told sums an outcome up in a few words.
func told(outcome *droverv1.Outcome) string {
	switch report := outcome.GetReport().(type) {
	case *droverv1.Outcome_Success:
		return "success " + string(report.Success.GetResult().GetData())
	case *droverv1.Outcome_Failure:
		reason := strings.TrimPrefix(report.Failure.GetReason().String(), "FAILURE_REASON_")
		if after := report.Failure.GetRetryAfter(); after != nil {
			reason += " again in " + after.AsDuration().String()
		}
		return reason
	case *droverv1.Outcome_Release:
		return "release"
	case *droverv1.Outcome_Snooze:
		return "snooze " + report.Snooze.GetDelay().AsDuration().String()
	case *droverv1.Outcome_Cancelled:
		return "cancelled"
	}
	return "nothing"
}

func TestHowAHandlerEndedDecidesWhatIsReported(t *testing.T) {
	plain := errors.New("connection refused")
	rules := &task{}
	PermanentErrors(fs.ErrNotExist)(rules)
	PermanentType[*addressError]()(rules)

	for _, test := range []struct {
		rule string
		end  ending
		want string
	}{
		{"a normal return is a success", ending{result: &droverv1.Payload{Data: []byte("1")}}, "success 1"},
		{"an error is left to the retry policy", ending{err: plain}, "ERROR"},
		{"an error may be marked permanent", ending{err: Permanent(plain)}, "PERMANENT"},
		{"a mark is seen through wrapping", ending{err: fmt.Errorf("sending: %w", Permanent(plain))}, "PERMANENT"},
		{"an error may say when to run again", ending{err: RetryAfter(plain, 5*time.Minute)}, "ERROR again in 5m0s"},
		{"a wait beyond 30 days is shortened to it", ending{err: RetryAfter(plain, 1e6*time.Hour)}, "ERROR again in 720h0m0s"},
		{"a negative wait is none", ending{err: RetryAfter(plain, -time.Hour)}, "ERROR again in 0s"},
		{"a snooze is no failure", ending{err: Snooze(time.Hour)}, "snooze 1h0m0s"},
		{"a release is no failure", ending{err: Release()}, "release"},
		{"a rule makes one error permanent", ending{err: fmt.Errorf("open: %w", fs.ErrNotExist)}, "PERMANENT"},
		{"a rule makes a type of errors permanent", ending{err: fmt.Errorf("mail: %w", &addressError{"x"})}, "PERMANENT"},
		{"the handler's own mark beats a rule", ending{err: RetryAfter(fs.ErrNotExist, time.Second)}, "ERROR again in 1s"},
		{"a rule sees the error of a panic", ending{err: panicError{value: fs.ErrNotExist}}, "PERMANENT"},
		{"an error after a cancellation agrees to it", ending{err: Permanent(plain), cancelRequested: true}, "cancelled"},
		{"a normal return after a cancellation succeeds", ending{cancelRequested: true}, "success "},
		{"an error when the worker stops gives the job back", ending{err: plain, cause: ErrStopping}, "release"},
		{"a permanent error stays one when the worker stops", ending{err: Permanent(plain), cause: ErrStopping}, "PERMANENT"},
		{"an error after the soft limit is a failure", ending{err: plain, cause: ErrSoftTimeLimit}, "ERROR"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			if got := told(judge(test.end, rules.isPermanent)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestMarkingNoErrorIsNoError(t *testing.T) {
	if err := Permanent(nil); err != nil {
		t.Errorf("Permanent(nil) is %v", err)
	}
	if err := RetryAfter(nil, time.Second); err != nil {
		t.Errorf("RetryAfter(nil) is %v", err)
	}
}

func TestAFailureNamesTheErrorUnderneath(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&addressError{"x"}, "*worker.addressError"},
		{Permanent(&addressError{"x"}), "*worker.addressError"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", &addressError{"x"})), "*worker.addressError"},
		{RetryAfter(fmt.Errorf("a: %w", io.EOF), 0), "*errors.errorString"},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, "*fs.PathError"},
		{panicError{value: "oops"}, "panic"},
		{panicError{value: &addressError{"x"}}, "*worker.addressError"},
	} {
		failure := judge(ending{err: test.err}, (&task{}).isPermanent).GetFailure()
		if failure.GetType() != test.want {
			t.Errorf("%#v is named %s, want %s", test.err, failure.GetType(), test.want)
		}
	}
}

func TestAContextErrorIsReportedWithItsCause(t *testing.T) {
	end := ending{err: fmt.Errorf("query: %w", context.DeadlineExceeded), cause: ErrSoftTimeLimit}
	want := "query: context deadline exceeded: soft time limit passed"
	if got := judge(end, (&task{}).isPermanent).GetFailure().GetMessage(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnErrorThatPanicsWhenReadIsAFailure(t *testing.T) {
	var none *addressError
	failure := judge(ending{err: none}, (&task{}).isPermanent).GetFailure()
	if failure.GetType() != "panic" || !strings.Contains(failure.GetMessage(), "*worker.addressError") {
		t.Errorf("got %v", failure)
	}
}

func TestTextIsMadeFitToBeSent(t *testing.T) {
	for _, test := range []struct {
		rule, text string
		limit      int
		want       string
	}{
		{"short text stays", "abc", 3, "abc"},
		{"long text loses its middle", "0123456789abcdef", 11, "012\n...\ndef"},
		{"a character is never cut in two", "ééééééééé", 11, "é\n...\né"},
		{"bytes that are no text are replaced", "a\xffb", 10, "a\uFFFDb"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got := clean(test.text, test.limit)
			if got != test.want || len(got) > test.limit || !utf8.ValidString(got) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnOversizedResultIsSentAsJustTooLarge(t *testing.T) {
	outcome := judge(ending{result: &droverv1.Payload{Data: make([]byte, 10<<20)}}, (&task{}).isPermanent)
	if got := len(outcome.GetSuccess().GetResult().GetData()); got != maxResult+1 {
		t.Errorf("%d bytes", got)
	}
}
