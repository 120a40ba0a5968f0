// Package worker runs jobs of a Drover broker.
//
// Register a handler for each task, then run the worker:
//
//	w := worker.New(worker.Config{Addresses: []string{"localhost:50051"}})
//	worker.Handle(w, "mail.send", func(ctx context.Context, mail Mail) (Receipt, error) {
//		return send(ctx, mail)
//	})
//	worker.Main(w)
//
// A handler gets the job's payload decoded into its second parameter and returns the job's result. Its context ends
// when the run is to end; context.Cause tells why (ErrSoftTimeLimit, ErrTimeLimit, ErrCancelled, ErrLeaseLost,
// ErrStopping). An error is a failure that the job's retry policy decides on, unless it was made by Permanent,
// RetryAfter, Snooze or Release. A panic is a failure with its stack.
//
// A job may run more than once (a worker or broker can die after the work and before the report), so a handler should
// be safe to repeat.
package worker
