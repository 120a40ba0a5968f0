package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Payload is bytes and what they are. As a handler's In or Out it passes them untouched, whatever their content type.
type Payload struct {
	Data []byte
	// A media type; empty means application/json.
	ContentType string
}

// maxResult is what the broker keeps of a result, in bytes.
const maxResult = 256 << 10

var jsonNull = []byte("null")

func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == "application/json"
}

func decode(payload *droverv1.Payload, into any) error {
	data := payload.GetData()
	if whole, ok := into.(*Payload); ok {
		*whole = Payload{Data: data, ContentType: payload.GetContentType()}
		return nil
	}
	if !isJSON(payload.GetContentType()) {
		plain, ok := into.(*[]byte)
		if !ok {
			return fmt.Errorf("content type %q, which only a handler of []byte or worker.Payload can take", payload.GetContentType())
		}
		*plain = data
		return nil
	}
	if len(data) == 0 {
		data = jsonNull
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func encode(result any) (*droverv1.Payload, error) {
	switch result := result.(type) {
	case Payload:
		return &droverv1.Payload{Data: result.Data, ContentType: result.ContentType}, nil
	case struct{}:
		return &droverv1.Payload{Data: jsonNull}, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	// Escaped for HTML, a result full of markup would take up to six times its size of the 256 KiB.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		return nil, err
	}
	return &droverv1.Payload{Data: bytes.TrimSuffix(text.Bytes(), []byte("\n"))}, nil
}
