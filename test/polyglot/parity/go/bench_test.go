package parity

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
	"github.com/drover-dev/drover/client-sdk/go/drovertest"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

// BenchmarkDrain is how many no-op jobs one worker runs and reports in a second: all are submitted before it starts.
// Run it with -benchtime=100000x or so.
func BenchmarkDrain(b *testing.B) {
	broker := drovertest.At(b, address)
	client, queue := broker.Client(), "go-bench-"+time.Now().Format("150405.000")
	specs := make([]drover.Spec, b.N)
	for i := range specs {
		specs[i] = drover.NewSpec("noop", nil, drover.Queue(queue))
	}
	if _, err := client.SubmitBatch(context.Background(), specs); err != nil {
		b.Fatal(err)
	}
	var begun atomic.Int64
	all := make(chan struct{})
	w := worker.New(worker.Config{
		Addresses: broker.Addresses(), Queues: []worker.Queue{{Name: queue}}, Concurrency: 1_000, Prefetch: 1_000,
		Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	worker.Handle(w, "noop", func(context.Context, any) (struct{}, error) {
		if begun.Add(1) == int64(b.N) {
			close(all)
		}
		return struct{}{}, nil
	})
	b.ResetTimer()
	stop := broker.Run(w)
	<-all
	stop() // returns once every outcome is settled
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkFirstJob is how long it takes from the start of a worker's process until its first job has ended.
func BenchmarkFirstJob(b *testing.B) {
	broker := drovertest.At(b, address)
	program, err := built()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		queue := "go-bench-" + time.Now().Format("150405.000000")
		submitted, err := broker.Client().Submit(context.Background(), "greet", "Ada", drover.Queue(queue))
		if err != nil {
			b.Fatal(err)
		}
		process := exec.Command(program, "--queues", queue)
		process.Env = append(os.Environ(), "DROVER_ADDRESS="+address)
		b.StartTimer()
		if err := process.Start(); err != nil {
			b.Fatal(err)
		}
		if _, err := broker.Client().Job(submitted.ID).Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = process.Process.Kill()
		_ = process.Wait()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/first-job")
}

// BenchmarkWaits is how long as many concurrent waits take as there are iterations, for jobs that have ended. Run it with
// -benchtime=2000x.
func BenchmarkWaits(b *testing.B) {
	broker := drovertest.At(b, address)
	client, queue := broker.Client(), "go-bench-"+time.Now().Format("150405.000")
	w := worker.New(worker.Config{
		Addresses: broker.Addresses(), Queues: []worker.Queue{{Name: queue}}, Concurrency: 1_000,
		Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	worker.Handle(w, "noop", func(context.Context, any) (struct{}, error) { return struct{}{}, nil })
	defer broker.Run(w)()
	specs := make([]drover.Spec, b.N)
	for i := range specs {
		specs[i] = drover.NewSpec("noop", nil, drover.Queue(queue))
	}
	jobs, err := client.SubmitBatch(context.Background(), specs)
	if err != nil {
		b.Fatal(err)
	}
	for _, job := range jobs {
		if _, err := client.Wait(context.Background(), job.ID); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	var group sync.WaitGroup
	for _, job := range jobs {
		group.Go(func() {
			if _, err := client.Wait(context.Background(), job.ID); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
}
