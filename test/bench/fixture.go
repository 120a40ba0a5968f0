// The test fixture that is measured, as fixture.mjs: what drovertest.Start and Broker.Run use.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
	"github.com/drover-dev/drover/client-sdk/go/drovertest"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	began := time.Now()
	server := must(drovertest.Launch(ctx))
	addresses := []string{server.Address}
	w := worker.New(worker.Config{Addresses: addresses, Logger: slog.New(slog.DiscardHandler)})
	worker.Handle(w, "noop", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
	working, stop := context.WithCancel(ctx)
	stopped := make(chan error)
	go func() { stopped <- w.Run(working) }()
	client := must(drover.New(drover.Config{Addresses: addresses}))
	job := must(client.Submit(ctx, "noop", struct{}{}))
	must(drover.Result[struct{}](ctx, client, job.ID))
	fmt.Println("ready", float64(time.Since(began).Microseconds())/1000)

	check(client.Close())
	stop()
	check(<-stopped)
	check(server.Stop())
}

func must[Value any](value Value, err error) Value {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
