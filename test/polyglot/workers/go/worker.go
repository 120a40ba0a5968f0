// The tasks of workers.test.ts and bad-input.test.ts in Go.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	worker "github.com/drover-dev/drover/worker-sdk/go"
)

type value[T any] struct {
	Value T `json:"value"`
}

type measured struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type doorway struct {
	Gate  string `json:"gate"`
	Diary string `json:"diary"`
}

// noSuchUser is permanent by a rule of its task.
type noSuchUser struct{ id int }

func (e noSuchUser) Error() string { return fmt.Sprintf("no user %d", e.id) }

func echo(_ context.Context, in value[any]) (any, error) { return in.Value, nil }

func measure(_ context.Context, in value[string]) (measured, error) {
	sum := sha256.Sum256([]byte(in.Value))
	return measured{len(in.Value), hex.EncodeToString(sum[:])}, nil
}

// noteIn leaves a line in a file.
func noteIn(diary, what string, attempt int) error {
	file, err := os.OpenFile(diary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s %d\n", what, attempt)
	return errors.Join(err, file.Close())
}

// busy computes, and lets nothing else come in between.
func busy(ctx context.Context, in struct {
	Milliseconds int    `json:"milliseconds"`
	Diary        string `json:"diary"`
}) (int, error) {
	attempt := worker.FromContext(ctx).Attempt
	if err := noteIn(in.Diary, "began", attempt); err != nil {
		return 0, err
	}
	for end := time.Now().Add(time.Duration(in.Milliseconds) * time.Millisecond); time.Now().Before(end); {
	}
	return attempt, nil
}

// gate waits for a file, and leaves a line in another one for each thing that befalls it.
func gate(ctx context.Context, in doorway) (string, error) {
	job := worker.FromContext(ctx)
	note := func(what string) error { return noteIn(in.Diary, what, job.Attempt) }
	if err := errors.Join(note("began"), job.Progress(0.5, map[string]string{"step": "half"})); err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(in.Gate); err == nil {
			return "opened", note("returned")
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(context.Cause(ctx), note("interrupted"))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func flaky(ctx context.Context, in struct{ Failures int }) (int, error) {
	attempt := worker.FromContext(ctx).Attempt
	if attempt <= in.Failures {
		return 0, errors.New("not yet")
	}
	return attempt, nil
}

func again(ctx context.Context, in struct{ Milliseconds int }) (int, error) {
	attempt := worker.FromContext(ctx).Attempt
	if attempt == 1 {
		return 0, worker.RetryAfter(errors.New("come back later"), time.Duration(in.Milliseconds)*time.Millisecond)
	}
	return attempt, nil
}

func marked(context.Context, struct{}) (struct{}, error) {
	return struct{}{}, worker.Permanent(errors.New("no user 42"))
}

func ruled(context.Context, struct{}) (struct{}, error) { return struct{}{}, noSuchUser{42} }

func sizes(ctx context.Context, _ struct{}) ([]string, error) {
	results, err := worker.Inputs[string](ctx)
	if err != nil {
		return nil, err
	}
	told := make([]string, len(results))
	for i, result := range results {
		told[i] = fmt.Sprintf("%c%d", result[0], len(result))
	}
	return told, nil
}

type strictUser struct {
	User struct {
		ID int `json:"id"`
	} `json:"user"`
}

func strict(_ context.Context, in strictUser) (int, error) { return in.User.ID, nil }

func opaque(context.Context, struct{}) (any, error) { return func() {}, nil }

func silent(context.Context, struct{}) (any, error) { return nil, nil }

func odd(context.Context, struct{}) (any, error) { panic("no error at all") }

func exits(_ context.Context, in struct{ Code int }) (any, error) {
	os.Exit(in.Code)
	return nil, nil
}

// forks has started a process that outlives it.
func forks(context.Context, struct{}) (map[string]any, error) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		return nil, err
	}
	return map[string]any{"by": "the worker", "pid": child.Process.Pid}, nil
}

// tlsOf is nil without a ca.
func tlsOf(ca, cert, key string) (*tls.Config, error) {
	if ca == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	trusted := &tls.Config{RootCAs: x509.NewCertPool()}
	trusted.RootCAs.AppendCertsFromPEM(pem)
	if cert == "" {
		return trusted, nil
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	trusted.Certificates = []tls.Certificate{own}
	return trusted, err
}

// namespaces are told one with each call, the last one from then on.
type namespaces []string

func (n *namespaces) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	next := (*n)[0]
	if len(*n) > 1 {
		*n = (*n)[1:]
	}
	return map[string]string{"drover-namespace": next}, nil
}

func (n *namespaces) RequireTransportSecurity() bool { return false }

// queues reads `a=3,b`.
func queues(text string) (queues []worker.Queue) {
	for each := range strings.SplitSeq(text, ",") {
		name, share, _ := strings.Cut(each, "=")
		weight, _ := strconv.Atoi(share) // none is 0, which is 1
		queues = append(queues, worker.Queue{Name: name, Weight: weight})
	}
	return queues
}

func main() {
	concurrency, err := strconv.Atoi(os.Getenv("FIXTURE_CONCURRENCY"))
	if err != nil {
		panic(err)
	}
	drain, err := strconv.ParseFloat(os.Getenv("FIXTURE_DRAIN_SECONDS"), 64)
	if err != nil {
		panic(err)
	}
	trusted, err := tlsOf(os.Getenv("FIXTURE_TLS_CA"), os.Getenv("FIXTURE_TLS_CERT"), os.Getenv("FIXTURE_TLS_KEY"))
	if err != nil {
		panic(err)
	}
	config := worker.Config{
		TLS:          trusted,
		Name:         os.Getenv("FIXTURE_NAME"),
		Queues:       queues(os.Getenv("FIXTURE_QUEUE")),
		Concurrency:  concurrency,
		DrainTimeout: time.Duration(drain * float64(time.Second)),
	}
	if given := os.Getenv("FIXTURE_NAMESPACES"); given != "" {
		names := namespaces(strings.Split(given, ","))
		config.Credentials = &names
	}
	w := worker.New(config)
	worker.Handle(w, "echo", echo)
	worker.Handle(w, "measure", measure)
	worker.Handle(w, "gate", gate)
	worker.Handle(w, "busy", busy)
	worker.Handle(w, "flaky", flaky)
	worker.Handle(w, "again", again)
	worker.Handle(w, "marked", marked)
	worker.Handle(w, "ruled", ruled, worker.PermanentType[noSuchUser]())
	worker.Handle(w, "sizes", sizes)
	worker.Handle(w, "strict", strict)
	worker.Handle(w, "opaque", opaque)
	worker.Handle(w, "silent", silent)
	worker.Handle(w, "odd", odd)
	worker.Handle(w, "exits", exits)
	worker.Handle(w, "forks", forks)
	worker.Main(w)
}
