// Package users does the work: a plain function, to be called by a worker or by a test.
package users

import (
	"context"
	"errors"

	worker "github.com/drover-dev/drover/worker-sdk/go"

	"github.com/drover-dev/drover/examples/nethttp/tasks"
)

// ErrUnknown is permanent: no retry would find the user.
var ErrUnknown = errors.New("no such user")

// Process may run twice for a job, and does no harm then.
func Process(ctx context.Context, user tasks.User) (tasks.Report, error) {
	if user.ID <= 0 {
		return tasks.Report{}, ErrUnknown
	}
	if err := worker.FromContext(ctx).Progress(0.5, map[string]string{"step": "half way"}); err != nil {
		return tasks.Report{}, err
	}
	return tasks.Report{UserID: user.ID, Status: "processed"}, nil
}
