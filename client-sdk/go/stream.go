package drover

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

type streamMethod[Request, Message any] func(
	context.Context, Request, ...grpc.CallOption,
) (grpc.ServerStreamingClient[Message], error)

// follow yields what a stream tells until read says that what it tells of has ended. The stream may break as often as it
// likes: it is opened again, as long as a broker answers within the time for which calls are repeated.
func follow[Request, Message, T any](
	ctx context.Context, c *Client, open streamMethod[Request, Message], request Request, read func(*Message) (T, bool),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		retry := c.newRetry(ctx)
		for {
			heard, failure := followOnce(ctx, c, open, request, func(message *Message) bool {
				now, ended := read(message)
				return yield(now, nil) && !ended
			})
			if failure == nil {
				return
			}
			if heard {
				retry = c.newRetry(ctx)
			}
			if !failure.passes() || !retry.again(ctx, failure) {
				var none T
				yield(none, failure)
				return
			}
		}
	}
}

// followOnce is one stream of follow: until tell says that it is enough, or the failure. A broker begins with how things
// stand now, and is taken for dead when it does not; after that nothing may happen for days.
func followOnce[Request, Message any](
	ctx context.Context, c *Client, open streamMethod[Request, Message], request Request, tell func(*Message) bool,
) (heard bool, failure *Error) {
	streaming, cancel := context.WithCancel(c.inNamespace(ctx))
	defer cancel()
	silence := time.AfterFunc(tryTimeout, cancel)
	defer silence.Stop()
	stream, err := open(streaming, request)
	for err == nil {
		var message *Message
		if message, err = stream.Recv(); err != nil {
			break
		}
		silence.Stop()
		heard = true
		if !tell(message) {
			return true, nil
		}
	}
	failure = errorOf(ctx, err)
	switch {
	case errors.Is(err, io.EOF):
		failure.Code, failure.Message = codes.Unavailable, "the broker ended the stream before its time"
	case streaming.Err() != nil && ctx.Err() == nil:
		failure.Code, failure.Message = codes.DeadlineExceeded, "no answer within "+tryTimeout.String()
	}
	return heard, failure
}
