// Package drovertest gives tests a broker of their own: the real one, on a free port, with its data in a temporary
// folder, gone with the test.
//
//	func TestWelcome(t *testing.T) {
//		broker := drovertest.Start(t)
//		w := worker.New(worker.Config{Addresses: broker.Addresses()})
//		worker.Serve(w, tasks.SendMail, send)
//		broker.Run(w)
//
//		job, err := tasks.SendMail.Submit(t.Context(), broker.Client(), Mail{To: "ada@example.org"})
//		...
//	}
//
// The command of the broker is that of the environment variable DROVER_BROKER, else `drover-broker` on the PATH, else,
// inside of a clone, the broker that was built there.
package drovertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
)

const (
	// How long a broker may take to be ready (longer the first time, when it fetches nats-server), and to stop.
	startTimeout = 2 * time.Minute
	stopTimeout  = 30 * time.Second
	// Lines of a broker's log that are kept to be told when something is wrong.
	keptLines = 100
)

// Server is a broker without a test, for TestMain: one broker for all tests of a package.
type Server struct {
	// `host:port`.
	Address string

	process *exec.Cmd
	folder  string
	exited  chan struct{}
	mu      sync.Mutex
	lines   []string
}

// Launch starts a broker and returns once it is ready. env are further settings, as in `DROVER_LOG_LEVEL=debug`. Stop it.
func Launch(ctx context.Context, env ...string) (*Server, error) {
	command, err := brokerCommand()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "drovertest-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, process: exec.Command(command[0], command[1:]...), exited: make(chan struct{})}
	s.process.Env = append(withoutSettings(os.Environ()),
		"DROVER_GRPC_PORT=0", "DROVER_HTTP_PORT=0", "DROVER_LOG_FORMAT=json", "DROVER_DATA_DIR="+folder)
	s.process.Env = append(s.process.Env, env...)
	output, input := io.Pipe()
	s.process.Stdout, s.process.Stderr = input, input
	if err := s.process.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("drovertest: %w", err), os.RemoveAll(folder))
	}
	go func() {
		_ = s.process.Wait() // how it ended is told by its log
		_ = input.Close()
		close(s.exited)
	}()
	port := make(chan int, 1)
	go s.listen(output, port)

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	problem := "is not ready in time"
	select {
	case p := <-port:
		s.Address = fmt.Sprintf("127.0.0.1:%d", p)
		return s, nil
	case <-s.exited:
		problem = "has ended"
	case <-ctx.Done():
	}
	return nil, errors.Join(fmt.Errorf("drovertest: the broker %s:\n%s", problem, s.Log()), s.Stop())
}

// listen keeps what the broker says, and tells its port once it is ready.
func (s *Server) listen(output io.Reader, port chan<- int) {
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		s.mu.Lock()
		s.lines = append(s.lines, scanner.Text())
		s.lines = s.lines[max(0, len(s.lines)-keptLines):]
		s.mu.Unlock()
		var line struct {
			Message string `json:"msg"`
			Port    int    `json:"grpcPort"`
		}
		if json.Unmarshal(scanner.Bytes(), &line) == nil && line.Message == "ready" && line.Port > 0 {
			port <- line.Port
		}
	}
	_, _ = io.Copy(io.Discard, output) // a line too long for the scanner must not hold up the broker
}

// Log is what the broker said last.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// Stop ends the broker and removes its data.
func (s *Server) Stop() error {
	_ = s.process.Process.Signal(syscall.SIGTERM) // fails when it has ended, as it is to
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		_ = s.process.Process.Kill()
		<-s.exited
	}
	return os.RemoveAll(s.folder)
}

// Broker is a broker and what a test does with it.
type Broker struct {
	t       testing.TB
	address string
	once    sync.Once
	client  *drover.Client
}

// Start starts a broker for one test; it is stopped, and its data removed, when the test has ended.
func Start(t testing.TB, env ...string) *Broker {
	t.Helper()
	server, err := Launch(context.WithoutCancel(t.Context()), env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the broker's log:\n%s", server.Log())
		}
	})
	return At(t, server.Address)
}

// At is a broker that is there already, as one that TestMain launched.
func At(t testing.TB, address string) *Broker { return &Broker{t: t, address: address} }

// Addresses are for the Config of a client or a worker.
func (b *Broker) Addresses() []string { return []string{b.address} }

// Client is a client of the broker's, closed when the test has ended.
func (b *Broker) Client() *drover.Client {
	b.once.Do(func() {
		client, err := drover.New(drover.Config{Addresses: b.Addresses()})
		if err != nil {
			b.t.Fatal(err)
		}
		b.client = client
		b.t.Cleanup(func() { _ = client.Close() })
	})
	return b.client
}

// Runner is what Run runs: a *worker.Worker.
type Runner interface {
	Run(ctx context.Context) error
}

// Run runs a worker in the test's process until the test ends or stop is called; what its Run returns must be nil.
func (b *Broker) Run(w Runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("the worker: %v", err)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

// withoutSettings leaves out what is set for somebody's own broker; only the nats-server to use is taken over.
func withoutSettings(env []string) []string {
	var kept []string
	for _, setting := range env {
		if !strings.HasPrefix(setting, "DROVER_") || strings.HasPrefix(setting, "DROVER_NATS_SERVER=") {
			kept = append(kept, setting)
		}
	}
	return kept
}

func brokerCommand() ([]string, error) {
	if command := strings.Fields(os.Getenv("DROVER_BROKER")); len(command) > 0 {
		return command, nil
	}
	if path, err := exec.LookPath("drover-broker"); err == nil {
		return []string{path}, nil
	}
	folder, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for ; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		main := filepath.Join(folder, "broker", "dist", "main.js")
		if _, err := os.Stat(main); err == nil {
			return []string{"node", main}, nil
		}
	}
	return nil, errors.New("drovertest: no broker: set DROVER_BROKER to its command, or put drover-broker on the PATH")
}
