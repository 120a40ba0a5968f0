// The worker of worker.mjs in Go, as far as it is measured: `noop` returns at once.
package main

import (
	"context"
	"log/slog"
	"os"
	"strconv"

	worker "github.com/drover-dev/drover/worker-sdk/go"
)

func main() {
	concurrency, err := strconv.Atoi(os.Getenv("BENCH_CONCURRENCY"))
	if err != nil {
		panic(err)
	}
	w := worker.New(worker.Config{
		Queues:      []worker.Queue{{Name: os.Getenv("BENCH_QUEUES")}},
		Concurrency: concurrency,
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	worker.Handle(w, "noop", func(context.Context, struct {
		Text string `json:"text"`
	}) (struct{}, error) {
		return struct{}{}, nil
	})
	worker.Main(w)
}
