package drover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Payload is bytes and what they are. Given as a job's payload it is sent as it is.
type Payload struct {
	Data []byte `json:"data"`
	// A media type; empty means application/json.
	ContentType string `json:"content_type,omitempty"`
}

// Decode decodes JSON (package encoding/json; numbers decoded into an interface become json.Number, so that none loses
// digits) or, into a *[]byte, the bytes of any other content type.
func (p *Payload) Decode(into any) error {
	if !isJSON(p.ContentType) {
		plain, ok := into.(*[]byte)
		if !ok {
			return fmt.Errorf("drover: content type %q can only be decoded into a *[]byte", p.ContentType)
		}
		*plain = p.Data
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(p.Data))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("drover: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("drover: more than one JSON value")
	}
	return nil
}

// into is Decode for a result of any type, a Payload as it is among them.
func (p *Payload) into(out any) error {
	if whole, ok := out.(*Payload); ok {
		*whole = *p
		return nil
	}
	return p.Decode(out)
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == "application/json"
}

func encode(payload any) (*droverv1.Payload, error) {
	if whole, ok := payload.(Payload); ok {
		return &droverv1.Payload{Data: whole.Data, ContentType: whole.ContentType}, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	// Escaped for HTML, a payload full of markup would take up to six times its size of the 512 KiB.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(payload); err != nil {
		return nil, err
	}
	return &droverv1.Payload{Data: bytes.TrimSuffix(text.Bytes(), []byte("\n"))}, nil
}
