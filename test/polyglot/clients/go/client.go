// The client of access.test.ts and gathering.test.ts in Go.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
)

// namespaces are told one with each call.
type namespaces []string

func (n *namespaces) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	next := (*n)[0]
	*n = (*n)[1:]
	return map[string]string{"drover-namespace": next}, nil
}

func (n *namespaces) RequireTransportSecurity() bool { return false }

func main() {
	told, err := run()
	if err != nil {
		var failure *drover.Error
		errors.As(err, &failure)
		told = map[string]any{"type": fmt.Sprintf("%T", failure), "error": err.Error()}
	}
	text, err := json.Marshal(told)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func run() (map[string]any, error) {
	patience, err := time.ParseDuration(os.Getenv("FIXTURE_PATIENCE") + "s")
	if err != nil {
		patience = 45 * time.Second
	}
	config := drover.Config{RetryFor: patience}
	if ca := os.Getenv("FIXTURE_TLS_CA"); ca != "" {
		trusted, err := tlsOf(ca, os.Getenv("FIXTURE_TLS_CERT"), os.Getenv("FIXTURE_TLS_KEY"))
		if err != nil {
			return nil, err
		}
		config.TLS = trusted
	}
	if given := os.Getenv("FIXTURE_NAMESPACES"); given != "" {
		names := namespaces(strings.Split(given, ","))
		config.Credentials = &names
	}
	client, err := drover.New(config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx := context.Background()
	if jobs, err := strconv.Atoi(os.Getenv("FIXTURE_TOGETHER")); err == nil {
		return together(ctx, client, jobs)
	}
	task := drover.Define[map[string]string, string](os.Getenv("FIXTURE_TASK"), drover.Queue(os.Getenv("FIXTURE_QUEUE")))
	job, err := task.Submit(ctx, client, map[string]string{"value": "hello"})
	if err != nil {
		return nil, err
	}
	status, err := job.Status(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result, err := job.Result(ctx)
	return map[string]any{"state": status.State, "result": result}, err
}

// together submits, looks at and waits for so many jobs, each lot at once.
func together(ctx context.Context, client *drover.Client, jobs int) (map[string]any, error) {
	task, states, results, failures := os.Getenv("FIXTURE_TASK"), sync.Map{}, make([]int, jobs), make([]error, jobs)
	atOnce(jobs, func(i int) {
		_, failures[i] = client.Submit(ctx, task, struct{}{}, drover.Queue("nobodys"))
	})
	id := func(i int) string { return fmt.Sprintf("echo~%s-%d", os.Getenv("FIXTURE_QUEUE"), i) }
	atOnce(jobs, func(i int) {
		status, err := client.Status(ctx, id(i))
		states.Store(status.State, true)
		failures[i] = errors.Join(failures[i], err)
	})
	atOnce(jobs, func(i int) {
		result, err := drover.Result[int](ctx, client, id(i))
		results[i], failures[i] = result, errors.Join(failures[i], err)
	})
	var seen []any
	states.Range(func(state, _ any) bool {
		seen = append(seen, state)
		return true
	})
	return map[string]any{"states": seen, "results": results}, errors.Join(failures...)
}

func atOnce(count int, do func(int)) {
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() { do(i) })
	}
	group.Wait()
}

func tlsOf(ca, cert, key string) (*tls.Config, error) {
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
