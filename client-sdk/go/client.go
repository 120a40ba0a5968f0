package drover

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/drover-dev/drover/proto/gen/go/drover/sdk"
	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Config says which brokers a client speaks to. The zero value is a broker on this machine.
type Config struct {
	// Brokers as `host:port` or `host`; calls are spread over those that can be reached. Default: those of the environment
	// variable DROVER_ADDRESS, separated by commas, else `127.0.0.1:50051`.
	Addresses []string
	// How long a call is repeated while no broker can do it, if its context has no deadline. Default 30 s. One try may
	// take 10 s.
	RetryFor time.Duration
	// Which of the broker's namespaces; empty = its own.
	Namespace string
	// Speaks TLS where it is set; &tls.Config{} trusts what the machine trusts. Default: without TLS.
	TLS *tls.Config
	// Sent with every call, for example a bearer token: RequireTransportSecurity is theirs to say.
	Credentials credentials.PerRPCCredentials
	// Puts the trace that a submit belongs to into the headers of its job, in W3C form (traceparent, tracestate); what
	// Headers says wins. With OpenTelemetry:
	//
	//	func(ctx context.Context, headers map[string]string) {
	//		otel.GetTextMapPropagator().Inject(ctx, propagation.MapCarrier(headers))
	//	}
	InjectTrace func(ctx context.Context, headers map[string]string)
	// Anything else about the connections; wins over what this package sets.
	DialOptions []grpc.DialOption
	// Calls go there instead of to Addresses: worker.Eager of the worker SDK is one. Close leaves it
	// open.
	Conn grpc.ClientConnInterface
}

// Client speaks to brokers. It is safe for use by many goroutines; make one and keep it.
type Client struct {
	close     func() error
	jobs      droverv1.JobServiceClient
	flows     droverv1.FlowServiceClient
	queues    droverv1.QueueServiceClient
	schedules droverv1.ScheduleServiceClient
	inspect   droverv1.InspectServiceClient
	submits   *gatherer[Spec, Submitted]
	looks     *gatherer[string, looked]
	waits     *waits
	inject    func(context.Context, map[string]string)
	retryFor  time.Duration
	namespace string
}

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// How long one try of a call may take before the broker is taken for dead.
	tryTimeout = 10 * time.Second
	// In bytes: what a broker may answer.
	maxReceive = 64 << 20
)

// New makes a client. Connections are made when they are first needed, so a broker may be started later; an error means
// that config makes no sense. Close the client when done.
func New(config Config) (*Client, error) {
	config.Addresses = sdk.Addresses(config.Addresses)
	if config.RetryFor <= 0 {
		config.RetryFor = 30 * time.Second
	}
	if config.Conn != nil {
		return newClient(config, config.Conn, func() error { return nil }), nil
	}
	conn, err := dial(config)
	if err != nil {
		return nil, err
	}
	return newClient(config, conn, conn.Close), nil
}

func newClient(config Config, conn grpc.ClientConnInterface, close func() error) *Client {
	c := &Client{
		close:     close,
		jobs:      droverv1.NewJobServiceClient(conn),
		flows:     droverv1.NewFlowServiceClient(conn),
		queues:    droverv1.NewQueueServiceClient(conn),
		schedules: droverv1.NewScheduleServiceClient(conn),
		inspect:   droverv1.NewInspectServiceClient(conn),
		inject:    config.InjectTrace,
		retryFor:  config.RetryFor,
		namespace: config.Namespace,
	}
	c.submits = &gatherer[Spec, Submitted]{send: c.store, fits: together}
	c.looks = &gatherer[string, looked]{send: c.look, fits: func(ids []string) int { return len(ids) }}
	c.waits = &waits{ask: c.askForEnds, retryFor: config.RetryFor}
	return c
}

func dial(config Config) (*grpc.ClientConn, error) {
	reconnect := backoff.Config{BaseDelay: firstBackoff, Multiplier: 2, Jitter: 0.5, MaxDelay: maxBackoff}
	transport := insecure.NewCredentials()
	if config.TLS != nil {
		transport = transportOf(config.TLS)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 3 * time.Second}),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
		// A watch has no other way to notice that its broker is gone without a word.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
	}
	if config.Credentials != nil {
		options = append(options, grpc.WithPerRPCCredentials(config.Credentials))
	}
	target := config.Addresses[0]
	if len(config.Addresses) > 1 {
		brokers := manual.NewBuilderWithScheme("drover")
		brokers.InitialState(resolver.State{Endpoints: endpoints(config.Addresses)})
		options = append(options, grpc.WithResolvers(brokers))
		target = "drover:///brokers"
	}
	return grpc.NewClient(target, append(options, config.DialOptions...)...)
}

func endpoints(addresses []string) []resolver.Endpoint {
	var endpoints []resolver.Endpoint
	for _, address := range addresses {
		host, _, _ := net.SplitHostPort(address) // for TLS; dialling reports a bad address
		endpoints = append(endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: address, ServerName: host}}})
	}
	return endpoints
}

// Close ends the connections and what is under way on them.
func (c *Client) Close() error { return c.close() }

type method[Request, Response any] func(context.Context, Request, ...grpc.CallOption) (Response, error)

// call repeats a call until a broker has done or refused it, or time is up; every error is an *Error. One try may take
// patience longer than usual.
func call[Request, Response any](
	ctx context.Context, c *Client, patience time.Duration, do method[Request, Response], request Request,
) (Response, error) {
	for retry := c.newRetry(ctx); ; {
		response, err := callOnce(ctx, c, patience, do, request)
		var failure *Error
		if !errors.As(err, &failure) || !failure.passes() || !retry.again(ctx, failure) {
			return response, err
		}
	}
}

// callOnce is a single try of call.
func callOnce[Request, Response any](
	ctx context.Context, c *Client, patience time.Duration, do method[Request, Response], request Request,
) (Response, error) {
	bounded, cancel := context.WithTimeout(c.inNamespace(ctx), tryTimeout+patience)
	defer cancel()
	response, err := do(bounded, request)
	if err != nil {
		return response, errorOf(ctx, err)
	}
	return response, nil
}

func (c *Client) inNamespace(ctx context.Context) context.Context {
	if c.namespace == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "drover-namespace", c.namespace)
}

// bounded is ctx with an end, as far away as a call may have it: of what waits for its turn behind others.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.retryFor+tryTimeout)
}

// retry is the patience that one call has with brokers that cannot do it now.
type retry struct {
	until    time.Time
	failures int
}

func (c *Client) newRetry(ctx context.Context) *retry {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(c.retryFor)
	}
	return &retry{until: until}
}

// again waits and tells whether there is time for one more try. If the context ends meanwhile, failure says so, too.
func (r *retry) again(ctx context.Context, failure *Error) bool {
	r.failures++
	wait := max(failure.RetryAfter, backoffAfter(r.failures, rand.Float64))
	if ctx.Err() != nil || time.Until(r.until) <= wait {
		return false
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		failure.cause = errors.Join(ctx.Err(), failure.cause)
		return false
	}
}

// backoffAfter is the wait before the next try: at random within a bound that begins at 50 ms, doubles with each
// failure and ends at 5 s. random yields [0, 1).
func backoffAfter(failures int, random func() float64) time.Duration {
	bound := maxBackoff
	if doublings := failures - 1; doublings < 10 {
		bound = min(maxBackoff, firstBackoff<<doublings)
	}
	return time.Duration(random() * float64(bound))
}
