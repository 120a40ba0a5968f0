package drover

import (
	"net"
	"testing"

	"google.golang.org/grpc"
)

// muteBroker takes connections and says nothing.
func muteBroker(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// hangingBroker takes calls and answers none.
func hangingBroker(t *testing.T) string {
	t.Helper()
	return serve(t, nil, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		<-stream.Context().Done()
		return stream.Context().Err()
	}))
}

// serve is a server until the test ends. Its address.
func serve(t *testing.T, add func(*grpc.Server), options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	if add != nil {
		add(server)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}
