package drover

// A watch in which nothing happens for long, and whose broker is lost meanwhile.

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// silentBroker tells how a job stands and then nothing for an hour. Then its stream breaks, it is away for a moment, and
// the job has ended.
type silentBroker struct {
	droverv1.UnimplementedJobServiceServer
	opened int
}

func (b *silentBroker) Watch(_ *droverv1.WatchRequest, stream grpc.ServerStreamingServer[droverv1.WatchResponse]) error {
	b.opened++
	state := droverv1.JobState_JOB_STATE_RUNNING
	switch b.opened {
	case 2, 3:
		return status.Error(codes.Unavailable, "starting")
	case 4:
		state = droverv1.JobState_JOB_STATE_SUCCEEDED
	}
	if err := stream.Send(&droverv1.WatchResponse{Job: &droverv1.Job{Id: "t~k", State: state}}); err != nil {
		return err
	}
	if b.opened == 1 {
		select {
		case <-time.After(time.Hour):
		case <-stream.Context().Done():
		}
	}
	return status.Error(codes.Unavailable, "lost")
}

func TestAWatchGoesOnAfterAStreamThatBrokeInALongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 16)
		server := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second}))
		droverv1.RegisterJobServiceServer(server, &silentBroker{})
		go func() { _ = server.Serve(listener) }()
		defer server.Stop()
		dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
		client, err := New(Config{
			Addresses:   []string{"192.0.2.1:50051"},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(dial)},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		began := time.Now()
		var seen []State
		for job, err := range client.Watch(t.Context(), "t~k") {
			if err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
			seen = append(seen, job.State)
		}
		if fmt.Sprint(seen) != "[RUNNING SUCCEEDED]" || time.Since(began) < time.Hour {
			t.Errorf("seen %v within %v", seen, time.Since(began))
		}
	})
}
