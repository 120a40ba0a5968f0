package worker

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// echo runs a handler that returns what it got, and returns its result or its error's text.
func echo[T any](t *testing.T, payload *droverv1.Payload) (T, string) {
	t.Helper()
	var got T
	w := New(Config{})
	Handle(w, "echo", func(_ context.Context, in T) (T, error) {
		got = in
		return in, nil
	})
	result, err := w.tasks["echo"].run(t.Context(), payload)
	if err != nil {
		return got, err.Error()
	}
	return got, string(result.GetData())
}

func TestAPayloadReachesTheHandlerAndComesBack(t *testing.T) {
	type args struct {
		N    int64     `json:"n"`
		At   time.Time `json:"at"`
		Raw  []byte    `json:"raw"`
		Text string    `json:"text"`
	}
	text := `{"n":9007199254740993,"at":"2026-01-02T03:04:05.000000006Z","raw":"AAH/","text":"naïve <b>"}`

	t.Run("as a struct, to the last digit", func(t *testing.T) {
		got, back := echo[args](t, &droverv1.Payload{Data: []byte(text)})
		if back != text || got.N != 9007199254740993 || !reflect.DeepEqual(got.Raw, []byte{0, 1, 255}) {
			t.Errorf("got %+v, back %s", got, back)
		}
	})
	t.Run("as an untyped value, to the last digit", func(t *testing.T) {
		_, back := echo[any](t, &droverv1.Payload{Data: []byte(`[9007199254740993,1e400,null]`), ContentType: "application/json; charset=utf-8"})
		if back != `[9007199254740993,1e400,null]` {
			t.Errorf("back %s", back)
		}
	})
	t.Run("as its JSON text", func(t *testing.T) {
		_, back := echo[json.RawMessage](t, &droverv1.Payload{Data: []byte(`{"a":1}`)})
		if back != `{"a":1}` {
			t.Errorf("back %s", back)
		}
	})
	t.Run("as bytes of another content type", func(t *testing.T) {
		got, _ := echo[[]byte](t, &droverv1.Payload{Data: []byte{0, 255}, ContentType: "image/png"})
		if !reflect.DeepEqual(got, []byte{0, 255}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("whole, with its content type", func(t *testing.T) {
		got, back := echo[Payload](t, &droverv1.Payload{Data: []byte("<x/>"), ContentType: "text/xml"})
		if got.ContentType != "text/xml" || back != "<x/>" {
			t.Errorf("got %v, back %s", got, back)
		}
	})
	t.Run("missing, as null", func(t *testing.T) {
		_, back := echo[*args](t, nil)
		if back != "null" {
			t.Errorf("back %s", back)
		}
	})
	t.Run("and struct{} comes back as null", func(t *testing.T) {
		_, back := echo[struct{}](t, &droverv1.Payload{Data: []byte(`{"a":1}`)})
		if back != "null" {
			t.Errorf("back %s", back)
		}
	})
}

func TestAPayloadThatDoesNotFitIsAPermanentFailure(t *testing.T) {
	for _, test := range []struct{ rule, data, contentType, want string }{
		{"of the wrong JSON type", `"text"`, "", "cannot unmarshal"},
		{"that is no JSON", `{`, "", "unexpected EOF"},
		{"of two JSON values", `1 2`, "", "more than one JSON value"},
		{"of another content type", `x`, "text/plain", `content type "text/plain"`},
	} {
		t.Run(test.rule, func(t *testing.T) {
			_, back := echo[int](t, &droverv1.Payload{Data: []byte(test.data), ContentType: test.contentType})
			if !strings.Contains(back, test.want) || !strings.HasPrefix(back, "payload of echo: ") {
				t.Errorf("got %s", back)
			}
		})
	}
}

func TestAResultThatIsNoJSONIsAPermanentFailure(t *testing.T) {
	w := New(Config{})
	Handle(w, "bad", func(context.Context, struct{}) (chan int, error) { return make(chan int), nil })
	_, err := w.tasks["bad"].run(t.Context(), nil)
	if got := told(judge(ending{err: err}, w.tasks["bad"].isPermanent)); got != "PERMANENT" {
		t.Errorf("got %s: %v", got, err)
	}
}
