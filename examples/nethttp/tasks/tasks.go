// Package tasks is what the web service and the workers share.
package tasks

import (
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
)

// User is who is to be processed.
type User struct {
	ID int `json:"user_id"`
}

// Report is what came of it.
type Report struct {
	UserID int    `json:"user_id"`
	Status string `json:"status"`
}

// ProcessUser is tried again after a minute, then two, then four.
var ProcessUser = drover.Define[User, Report]("process_user",
	drover.Retries(3), drover.Backoff(time.Minute, 2, time.Hour), drover.HardTimeLimit(5*time.Minute))
