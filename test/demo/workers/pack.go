// A worker in Go: packs texts, and sends letters through a mail server that is busy at first.
//
//	go run pack.go --address localhost:50051
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"

	worker "github.com/drover-dev/drover/worker-sdk/go"
)

type Part struct {
	Document string `json:"document"`
	Number   int    `json:"number"`
	Text     string `json:"text"`
}

type Packed struct {
	Document string `json:"document"`
	Number   int    `json:"number"`
	SHA256   string `json:"sha256"`
	Bytes    int    `json:"bytes"`
	Gzip     []byte `json:"gzip"` // base64, as everywhere in JSON
}

func pack(_ context.Context, part Part) (Packed, error) {
	sum := sha256.Sum256([]byte(part.Text))
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err := writer.Write([]byte(part.Text))
	if err := errors.Join(err, writer.Close()); err != nil {
		return Packed{}, err
	}
	return Packed{part.Document, part.Number, hex.EncodeToString(sum[:]), len(part.Text), packed.Bytes()}, nil
}

type Letter struct {
	To string `json:"to"`
}

var errBusy = errors.New("the mail server is busy")

// AddressError is permanent (see main): no retry will mend an address.
type AddressError struct{ Address string }

func (e AddressError) Error() string { return "no such address: " + e.Address }

func send(ctx context.Context, letter Letter) (string, error) {
	if !strings.Contains(letter.To, "@") {
		return "", AddressError{letter.To}
	}
	if job := worker.FromContext(ctx); job.Attempt < 3 {
		return "", errBusy // the job's retry policy says when to try again
	}
	return "sent to " + letter.To, nil
}

func main() {
	w := worker.New(worker.Config{Name: os.Getenv("WORKER_NAME")})
	worker.Handle(w, "text.pack", pack)
	worker.Handle(w, "letter.send", send, worker.PermanentType[AddressError]())
	worker.Main(w)
}
