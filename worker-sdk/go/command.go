package worker

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/drover-dev/drover/proto/gen/go/drover/sdk"
)

// Main is a worker's whole main: it reads the flags of BindFlags from the command line (unless the program has parsed
// its flags already), runs w until SIGTERM or SIGINT and drains. It does not return: the process ends with 0, or with 1
// when Run failed or on a second signal, which ends it at once.
func Main(w *Worker) {
	if !flag.Parsed() {
		w.BindFlags(flag.CommandLine)
		flag.Parse()
	}
	if w.config.Logger == nil {
		w.config.Logger = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: w.level}))
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(1)
	}()
	if err := w.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// BindFlags adds flags that overrule the worker's Config to a set: --address, --queues, --concurrency, --log-level.
// A program with flags of its own calls it before flag.Parse. The log level is that of the logger which Main makes, not
// of one in Config; without the flag it is that of the environment variable DROVER_LOG_LEVEL, else info.
func (w *Worker) BindFlags(flags *flag.FlagSet) {
	if level := os.Getenv("DROVER_LOG_LEVEL"); level != "" {
		if err := w.setLevel(level); err != nil {
			w.problems = append(w.problems, fmt.Errorf("DROVER_LOG_LEVEL: %w", err))
		}
	}
	flags.Func("address", "brokers as `host:port,...`; also by DROVER_ADDRESS", func(value string) error {
		w.config.Addresses = sdk.Addresses(strings.Split(value, ","))
		return nil
	})
	flags.Func("queues", "queues to serve as `name,...`, each with an optional weight, as in mail=3,default", w.setQueues)
	flags.Func("concurrency", "how many jobs to run at a time: `1 to 10000`", func(value string) (err error) {
		w.config.Concurrency, err = strconv.Atoi(value)
		return err
	})
	flags.Func("log-level", "`debug, info, warn or error`; also by DROVER_LOG_LEVEL", w.setLevel)
}

func (w *Worker) setLevel(value string) error { return w.level.UnmarshalText([]byte(value)) }

func (w *Worker) setQueues(value string) error {
	var queues []Queue
	for _, item := range strings.Split(value, ",") {
		name, weight, weighted := strings.Cut(item, "=")
		queue := Queue{Name: name}
		if weighted {
			var err error
			if queue.Weight, err = strconv.Atoi(weight); err != nil {
				return fmt.Errorf("weight of queue %s: %w", name, err)
			}
		}
		queues = append(queues, queue)
	}
	w.config.Queues = queues
	return nil
}
