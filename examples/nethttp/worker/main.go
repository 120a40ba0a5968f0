// Worker processes users.
package main

import (
	worker "github.com/drover-dev/drover/worker-sdk/go"

	"github.com/drover-dev/drover/examples/nethttp/tasks"
	"github.com/drover-dev/drover/examples/nethttp/users"
)

func main() {
	w := worker.New(worker.Config{})
	worker.Serve(w, tasks.ProcessUser, users.Process, worker.PermanentErrors(users.ErrUnknown))
	worker.Main(w)
}
