package drover

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"testing"

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

// exactly is a decoded JSON value with its numbers by value, whatever their form.
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

func TestPayloadsAndResultsAreThoseOfTheGoldenFile(t *testing.T) {
	var file struct{ Values, Refused []struct{ Name, Text string } }
	golden(t, "payloads.json", &file)
	for _, test := range file.Values {
		t.Run(test.Name, func(t *testing.T) {
			var value any
			if err := (&Payload{Data: []byte(test.Text)}).Decode(&value); err != nil {
				t.Fatal(err)
			}
			written, err := encode(value)
			if err != nil || !reflect.DeepEqual(exact(t, written.GetData()), exact(t, []byte(test.Text))) {
				t.Errorf("%s came out as %s, %v", test.Text, written.GetData(), err)
			}
		})
	}
	for _, test := range file.Refused {
		t.Run(test.Name, func(t *testing.T) {
			var value any
			if err := (&Payload{Data: []byte(test.Text)}).Decode(&value); err == nil {
				t.Errorf("%s was read as %v", test.Text, value)
			}
		})
	}
}

func TestProgressIsReadAsTheGoldenFileHasIt(t *testing.T) {
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
			wire := &droverv1.Progress{Value: test.Value}
			if test.Detail != nil {
				wire.Detail = []byte(*test.Detail)
			}
			got := jobOf(&droverv1.Job{Progress: wire}).Progress
			if !reflect.DeepEqual(got.Value, test.Value) || (got.Detail == nil) != (test.Detail == nil) {
				t.Fatalf("got %+v", got)
			}
			if test.Detail != nil && !reflect.DeepEqual(exact(t, got.Detail), exact(t, []byte(*test.Detail))) {
				t.Errorf("detail %s", got.Detail)
			}
		})
	}
}
