package drover

import "context"

// Task is a kind of work with the types of its payload and its result. Define it once, in a package that both the
// workers and the callers import: callers need nothing of the handler.
//
//	var SendMail = drover.Define[Mail, Receipt]("mail.send", drover.Queue("mail"), drover.MaxAttempts(5))
//
//	job, err := SendMail.Submit(ctx, client, Mail{To: "ada@example.org"}) // in a web service
//	worker.Serve(w, tasks.SendMail, send)                                 // in the worker's main
type Task[In, Out any] struct {
	name    string
	options []Option
}

// Define makes a task. The options hold for every job of it; those of a single submit come after them and win.
func Define[In, Out any](name string, options ...Option) Task[In, Out] {
	return Task[In, Out]{name: name, options: options}
}

// Name is the task's name.
func (t Task[In, Out]) Name() string { return t.name }

// Types is by which worker.Serve holds a handler against the task's types when it is compiled.
func (t Task[In, Out]) Types() (in In, out Out) { return in, out }

// Spec describes a job of the task, for Client.SubmitBatch.
func (t Task[In, Out]) Spec(payload In, options ...Option) Spec {
	return NewSpec(t.name, payload, t.with(options)...)
}

// Submit is Client.Submit for the task.
func (t Task[In, Out]) Submit(ctx context.Context, c *Client, payload In, options ...Option) (TaskHandle[Out], error) {
	submitted, err := c.SubmitSpec(ctx, t.Spec(payload, options...))
	if err != nil {
		return TaskHandle[Out]{}, err
	}
	return TaskHandle[Out]{c.Job(submitted.ID), submitted.Deduplicated}, nil
}

// Job is a job of the task by its id, from any process. Asks the broker nothing yet.
func (t Task[In, Out]) Job(c *Client, id string) TaskHandle[Out] {
	return TaskHandle[Out]{JobHandle: c.Job(id)}
}

// Step is a job of the task in a flow.
func (t Task[In, Out]) Step(payload In, options ...Option) Node {
	return Step(t.name, payload, t.with(options)...)
}

func (t Task[In, Out]) with(options []Option) []Option {
	return append(append([]Option(nil), t.options...), options...)
}
