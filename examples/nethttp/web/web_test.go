package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/drover-dev/drover/client-sdk/go/drovertest"
	worker "github.com/drover-dev/drover/worker-sdk/go"

	"github.com/drover-dev/drover/examples/nethttp/tasks"
	"github.com/drover-dev/drover/examples/nethttp/users"
)

type answer struct {
	TaskID  string `json:"task_id"`
	State   string
	Ready   bool
	Attempt int
	Result  *tasks.Report
	Failure *struct{ Reason, Message string }
	Status  string // of a report
	Error   string
}

func TestUsersAreProcessedElsewhere(t *testing.T) {
	broker := drovertest.Start(t)
	web := httptest.NewServer(routes(broker.Client()))
	defer web.Close()
	ask := func(method, path string, wantCode int) (body answer) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, web.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&body); err != nil || response.StatusCode != wantCode {
			t.Fatalf("%s %s: %s, %+v, %v", method, path, response.Status, body, err)
		}
		return body
	}

	submitted := ask("POST", "/users/42/process", http.StatusAccepted)
	if waits := ask("GET", "/jobs/"+submitted.TaskID, http.StatusOK); waits.State != "READY" || waits.Ready {
		t.Errorf("without a worker: %+v", waits)
	}
	if late := ask("GET", "/jobs/"+submitted.TaskID+"/result?timeout=100ms", http.StatusAccepted); late.TaskID != submitted.TaskID {
		t.Errorf("too early: %+v", late)
	}

	w := worker.New(worker.Config{Addresses: broker.Addresses()})
	worker.Serve(w, tasks.ProcessUser, users.Process, worker.PermanentErrors(users.ErrUnknown))
	broker.Run(w)
	if report := ask("GET", "/jobs/"+submitted.TaskID+"/result", http.StatusOK); report.Status != "processed" {
		t.Errorf("result: %+v", report)
	}
	done := ask("GET", "/jobs/"+submitted.TaskID, http.StatusOK)
	if !done.Ready || done.Attempt != 1 || done.Result == nil || *done.Result != (tasks.Report{UserID: 42, Status: "processed"}) {
		t.Errorf("status: %+v", done)
	}

	unknown := ask("POST", "/users/0/process", http.StatusAccepted)
	failed := ask("GET", "/jobs/"+unknown.TaskID+"/result", http.StatusOK)
	if failed.Failure == nil || failed.Failure.Reason != "PERMANENT" || failed.Failure.Message != "no such user" {
		t.Errorf("failed: %+v", failed)
	}
	ask("GET", "/jobs/process_user~nobody", http.StatusNotFound)
	ask("GET", "/jobs/no-id", http.StatusBadRequest)
	ask("POST", "/users/ada/process", http.StatusBadRequest)
}

func TestTheHandlerIsAFunction(t *testing.T) {
	if report, err := users.Process(context.Background(), tasks.User{ID: 1}); err != nil || report.Status != "processed" {
		t.Errorf("got %v, %v", report, err)
	}
}
