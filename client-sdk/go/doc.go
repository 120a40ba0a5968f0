// Package drover submits jobs to a Drover broker and asks what became of them.
//
//	client, err := drover.New(drover.Config{Addresses: []string{"localhost:50051"}})
//	submitted, err := client.Submit(ctx, "mail.send", Mail{To: "ada@example.org"}, drover.Priority(9))
//	receipt, err := drover.Result[Receipt](ctx, client, submitted.ID)
//
// Tasks that are defined once (Define) have types for callers and workers alike; Chain, Group, Chord and Graph make flows of
// them.
//
// A job id (`<task>~<key>`) is all that is needed to ask for a job, from any process, and fits into a URL path as it is.
//
// Every call may be repeated: a submit carries the job's key, which the SDK makes (UUIDv7) unless Key gives one, and one
// task has at most one job of a key. So calls that found no broker, or a broker without its store, are repeated here
// until the context ends. Errors of a broker are of type *Error.
package drover
