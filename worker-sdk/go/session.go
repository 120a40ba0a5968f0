package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

const (
	// What a session's silence may last until the broker says how long; it bounds connecting and attaching, too.
	defaultSessionTimeout = 15 * time.Second
	connectTimeout        = 3 * time.Second
	// How long outcomes and progress are gathered at most, and progress at least.
	gatherTime = 10 * time.Millisecond
	// Between saying that no more jobs are wanted and closing: what the broker had sent by then is still given back.
	linger = 200 * time.Millisecond
	// How long the broker may take to close its side then.
	closeTimeout = time.Second
	// In bytes; a broker sends no more payload than the session's credit of 64 MiB allows.
	maxReceive = 80 << 20
)

var (
	errSilent       = errors.New("the broker was silent for too long")
	errBrokerDrains = errors.New("the broker is stopping")
	errDrained      = errors.New("drained")
)

type stream = grpc.BidiStreamingClient[droverv1.WorkRequest, droverv1.WorkResponse]

// session works through one connection until it breaks (any error), the broker stops (errBrokerDrains) or the worker has
// drained (errDrained). attached tells whether the broker took the worker in.
func (w *Worker) session(ctx context.Context, address string) (attached bool, err error) {
	conn, err := w.dial(address)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(defaultSessionTimeout, func() { cancel(errSilent) })
	defer silence.Stop()

	up, err := droverv1.NewWorkerServiceClient(conn).Work(w.inNamespace(ctx))
	if err != nil {
		return false, broken(ctx, err)
	}
	w.conn.Store(conn)
	defer w.conn.Store(nil)
	answer, err := w.attach(up)
	if err != nil {
		return false, broken(ctx, err)
	}
	defer w.ledger.detached()
	timeout := defaultSessionTimeout
	if d := answer.GetSessionTimeout().AsDuration(); d > 0 {
		timeout = d
	}
	silence.Reset(timeout)
	w.log.Info("worker_attached", "broker", answer.GetBroker(), "address", address,
		"held", len(answer.GetHeld()), "lost", len(answer.GetLost()))

	sent := make(chan error, 1)
	go func() {
		err := w.send(ctx, up)
		if err == nil {
			time.AfterFunc(closeTimeout, func() { cancel(errDrained) })
		}
		sent <- err
	}()
	err = w.receive(up, func() { silence.Reset(timeout) })
	cancel(err)
	if <-sent == nil {
		return true, errDrained
	}
	return true, broken(ctx, err)
}

func (w *Worker) dial(address string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if w.config.TLS != nil {
		transport = credentials.NewTLS(w.config.TLS)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
	}
	if w.config.Credentials != nil {
		options = append(options, grpc.WithPerRPCCredentials(w.config.Credentials))
	}
	return grpc.NewClient(address, append(options, w.config.DialOptions...)...)
}

func (w *Worker) inNamespace(ctx context.Context) context.Context {
	if w.config.Namespace == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "drover-namespace", w.config.Namespace)
}

// attach opens the session with the leases that are still held.
func (w *Worker) attach(up stream) (*droverv1.Attached, error) {
	held, credit := w.ledger.attach()
	// io.EOF from Send only says that the stream has ended; Recv says why.
	if err := up.Send(w.attachMessage(held, credit)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	first, err := up.Recv()
	if err != nil {
		return nil, err
	}
	answer := first.GetAttached()
	if answer == nil {
		return nil, fmt.Errorf("the broker answered attach with %T", first.GetMessage())
	}
	w.ledger.attached(answer, credit)
	return answer, nil
}

// receive deals with what comes down until the stream ends. heard is called for every message.
func (w *Worker) receive(down stream, heard func()) error {
	for {
		response, err := down.Recv()
		if err != nil {
			return err
		}
		heard()
		switch message := response.GetMessage().(type) {
		case *droverv1.WorkResponse_Leases:
			w.ledger.take(message.Leases.GetLeases())
		case *droverv1.WorkResponse_Settled:
			w.ledger.settle(message.Settled)
		case *droverv1.WorkResponse_Cancel:
			w.ledger.interrupt(message.Cancel.GetLeases())
		case *droverv1.WorkResponse_Ping:
			w.ledger.ping()
		case *droverv1.WorkResponse_Drain:
			return errBrokerDrains
		}
	}
}

// send sends what the ledger has to say until the session ends. Nil: the worker has drained, and the stream is closed
// from this side.
func (w *Worker) send(ctx context.Context, up stream) error {
	var gathering, lingering <-chan time.Time
	for {
		gathered := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.ledger.outbox.wake:
			// Lets handlers that are about to finish do so: their outcomes go in the same message.
			runtime.Gosched()
		case <-gathering:
			gathering, gathered = nil, true
		case <-lingering:
			if _, _, done := w.ledger.outgoing(false); done {
				return up.CloseSend()
			}
			lingering = nil
		}
		messages, again, done := w.ledger.outgoing(gathered)
		for _, message := range messages {
			if err := up.Send(message); err != nil {
				// Recv tells the reason.
				<-ctx.Done()
				return context.Cause(ctx)
			}
		}
		if again && gathering == nil {
			gathering = time.After(gatherTime)
		}
		if done && lingering == nil {
			lingering = time.After(linger)
		}
	}
}

// broken prefers the reason for which this side ended the stream to the one that gRPC makes of it.
func broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
