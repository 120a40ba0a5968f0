package drover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// countingBroker answers, and counts calls and connections.
type countingBroker struct {
	droverv1.UnimplementedJobServiceServer
	net.Listener
	server      *grpc.Server
	calls       atomic.Int64
	connections atomic.Int64
	mu          sync.Mutex
	open        []net.Conn
	// While it is set, calls are held.
	held chan struct{}
}

func countingBrokerAt(t *testing.T, address string) *countingBroker {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	broker := &countingBroker{Listener: listener, server: grpc.NewServer()}
	droverv1.RegisterJobServiceServer(broker.server, broker)
	go func() { _ = broker.server.Serve(broker) }()
	t.Cleanup(broker.server.Stop)
	return broker
}

func (b *countingBroker) address() string { return b.Addr().String() }

func (b *countingBroker) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err == nil {
		b.connections.Add(1)
		b.mu.Lock()
		b.open = append(b.open, conn)
		b.mu.Unlock()
	}
	return conn, err
}

// cut ends the connections in the middle of whatever they carry.
func (b *countingBroker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.open {
		_ = conn.Close()
	}
	b.open = nil
}

func (b *countingBroker) Status(context.Context, *droverv1.StatusRequest) (*droverv1.StatusResponse, error) {
	b.calls.Add(1)
	return &droverv1.StatusResponse{Job: &droverv1.Job{Id: "t~k"}}, nil
}

func (b *countingBroker) Explain(ctx context.Context, _ *droverv1.ExplainRequest) (*droverv1.ExplainResponse, error) {
	b.calls.Add(1)
	if b.held != nil {
		select {
		case <-b.held:
		case <-ctx.Done():
		}
	}
	return &droverv1.ExplainResponse{}, nil
}

func brokers(t *testing.T, count int) (all []*countingBroker, addresses []string) {
	for range count {
		broker := countingBrokerAt(t, "127.0.0.1:0")
		all, addresses = append(all, broker), append(addresses, broker.address())
	}
	return all, addresses
}

// within asks for a status again and again, and fails where one fails, until enough says so.
func within(t *testing.T, client *Client, what string, enough func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !enough(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		if _, err := client.Status(t.Context(), "t~k"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAThousandCallsAtATimeShareOneConnection(t *testing.T) {
	broker := countingBrokerAt(t, "127.0.0.1:0")
	broker.held = make(chan struct{})
	client := clientAt(t, broker.address())
	var group sync.WaitGroup
	const calls = 1000
	for range calls {
		group.Go(func() {
			if _, err := client.Explain(t.Context(), "t~k"); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, client, "all of them", func() bool { return broker.calls.Load() >= calls })
	close(broker.held)
	group.Wait()
	if connections := broker.connections.Load(); connections != 1 {
		t.Errorf("%d connections", connections)
	}
}

func TestAConnectionThatIsCutIsMadeAnew(t *testing.T) {
	broker := countingBrokerAt(t, "127.0.0.1:0")
	client := clientAt(t, broker.address())
	for round := range int64(5) {
		if _, err := client.Status(t.Context(), "t~k"); err != nil {
			t.Fatal(err)
		}
		if connections := broker.connections.Load(); connections != round+1 {
			t.Errorf("%d connections in round %d", connections, round)
		}
		broker.cut()
	}
}

func TestABrokerThatComesBackIsFound(t *testing.T) {
	broker := countingBrokerAt(t, "127.0.0.1:0")
	address := broker.address()
	client := clientAt(t, address)
	if _, err := client.Status(t.Context(), "t~k"); err != nil {
		t.Fatal(err)
	}
	broker.server.Stop()
	away, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := client.Status(away, "t~k"); err == nil {
		t.Fatal("somebody answers")
	}
	countingBrokerAt(t, address)
	if _, err := client.Status(t.Context(), "t~k"); err != nil {
		t.Fatal(err)
	}
}

func TestEachAddressIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addresses := []string{"192.0.2.1:50051", "192.0.2.2:50051", "192.0.2.3:50051"}
		var mu sync.Mutex
		tried := map[string]bool{}
		refuse := func(_ context.Context, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			tried[address] = true
			return nil, errors.New("connection refused")
		}
		client, err := New(Config{Addresses: addresses, DialOptions: []grpc.DialOption{grpc.WithContextDialer(refuse)}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Status(t.Context(), "t~k")
		if closed := client.Close(); err == nil || closed != nil {
			t.Fatalf("got %v, closed with %v", err, closed)
		}
		synctest.Wait()
		for _, address := range addresses {
			if !tried[address] {
				t.Errorf("%s was not tried", address)
			}
		}
	})
}

func TestCallsOfAClientAreSpreadOverItsBrokers(t *testing.T) {
	t.Parallel()
	all, addresses := brokers(t, 3)
	client := clientAt(t, addresses...)
	within(t, client, "each broker to be asked", func() bool {
		return all[0].calls.Load() > 0 && all[1].calls.Load() > 0 && all[2].calls.Load() > 0
	})
}

func TestClientsBeginWithAnyOfTheirBrokers(t *testing.T) {
	all, addresses := brokers(t, 3)
	// Of 60 all but never miss one of three.
	for range 60 {
		client := clientAt(t, addresses...)
		if _, err := client.Status(t.Context(), "t~k"); err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
	}
	for i, broker := range all {
		if broker.calls.Load() == 0 {
			t.Errorf("nobody began with broker %d", i)
		}
	}
}

func TestWhateverBrokerIsGoneAnotherOneIsAsked(t *testing.T) {
	t.Parallel()
	for gone := range 3 {
		t.Run(fmt.Sprint("broker ", gone), func(t *testing.T) {
			t.Parallel()
			all, addresses := brokers(t, 3)
			client := clientAt(t, addresses...)
			within(t, client, "it to be asked", func() bool { return all[gone].calls.Load() > 0 })
			all[gone].server.Stop()
			for range 20 {
				if _, err := client.Status(t.Context(), "t~k"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Run("all but the last", func(t *testing.T) {
		t.Parallel()
		broker := countingBrokerAt(t, "127.0.0.1:0")
		client := clientAt(t, unreachable(t), unreachable(t), broker.address())
		if _, err := client.Status(t.Context(), "t~k"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestABrokerThatIsGoneIsTriedAgainWithinAFewSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Time
		refuse := func(context.Context, string) (net.Conn, error) {
			tries = append(tries, time.Now())
			return nil, errors.New("connection refused")
		}
		client, err := New(Config{
			Addresses:   []string{"192.0.2.1:50051"},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(refuse)},
			RetryFor:    10 * time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Status(t.Context(), "t~k")
		if closed := client.Close(); err == nil || closed != nil {
			t.Fatalf("got %v, closed with %v", err, closed)
		}
		synctest.Wait()
		if len(tries) < 2 {
			t.Fatalf("%d tries", len(tries))
		}
		for i, at := range tries[1:] {
			if wait := at.Sub(tries[i]); wait > 10*time.Second {
				t.Errorf("%v after %d tries", wait, i+1)
			}
		}
	})
}
