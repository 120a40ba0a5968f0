package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	worker "github.com/drover-dev/drover/worker-sdk/go"
)

type Mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
}

type Receipt struct {
	MessageID string `json:"message_id"`
}

type AddressError struct{ Address string }

func (e *AddressError) Error() string { return "no such address: " + e.Address }

var errBusy = errors.New("mail server is busy")

func sendMail(ctx context.Context, mail Mail) (Receipt, error) {
	job := worker.FromContext(ctx)
	job.Logger().Info("sending", "recipients", 1)
	switch err := deliver(ctx, mail); {
	case errors.Is(err, errBusy):
		return Receipt{}, worker.RetryAfter(err, 5*time.Minute)
	case err != nil:
		return Receipt{}, err // the job's retry policy decides; an *AddressError is permanent, see below
	}
	if err := job.Progress(1, map[string]string{"step": "sent"}); err != nil {
		job.Logger().Warn("progress", "error", err)
	}
	return Receipt{MessageID: fmt.Sprintf("%s/%d", job.ID, job.Attempt)}, nil
}

func deliver(context.Context, Mail) error { return nil }

func Example() {
	w := worker.New(worker.Config{Queues: []worker.Queue{{Name: "mail", Weight: 3}, {Name: "default"}}})
	worker.Handle(w, "mail.send", sendMail,
		worker.MaxConcurrent(4),
		worker.PermanentType[*AddressError](),
		worker.PermanentErrors(fs.ErrNotExist),
	)
	worker.Main(w)
}

// A handler is a plain function: a test calls it, without a broker.
func ExampleNewContext() {
	ctx := worker.NewContext(context.Background(), &worker.Job{ID: "mail.send~1", Task: "mail.send", Attempt: 2})
	receipt, err := sendMail(ctx, Mail{To: "ada@example.org"})
	fmt.Println(receipt.MessageID, err)
	// Output: mail.send~1/2 <nil>
}

// A handler that heeds its context can say something better than that it was interrupted.
func ExampleHandle_interrupted() {
	w := worker.New(worker.Config{})
	worker.Handle(w, "report.build", func(ctx context.Context, _ struct{}) (string, error) {
		select {
		case <-time.After(time.Hour):
			return "done", nil
		case <-ctx.Done():
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, worker.ErrSoftTimeLimit):
				return "half a report", nil // still counts
			case errors.Is(cause, worker.ErrStopping):
				return "", worker.Release()
			default: // cancelled, over the hard limit or lease lost: clean up and go
				return "", cause
			}
		}
	})
}
