// A worker as people write one, for the tests that need it as a process.
package main

import (
	"context"
	"os"

	worker "github.com/drover-dev/drover/worker-sdk/go"
)

// Doorway is a file that a handler waits for, and one that it makes once it waits.
type Doorway struct {
	Gate  string `json:"gate"`
	Waits string `json:"waits"`
}

func main() {
	w := worker.New(worker.Config{})
	worker.Handle(w, "greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil })
	worker.Handle(w, "exit", func(context.Context, struct{}) (struct{}, error) {
		os.Exit(7)
		return struct{}{}, nil
	})
	worker.Handle(w, "wait", func(ctx context.Context, in Doorway) (string, error) {
		if err := os.WriteFile(in.Waits, nil, 0o600); err != nil {
			return "", err
		}
		for {
			if _, err := os.Stat(in.Gate); err == nil {
				return "opened", nil
			}
			if err := pause(ctx); err != nil {
				return "", err
			}
		}
	})
	worker.Main(w)
}
