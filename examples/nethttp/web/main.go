// Web has users processed by workers, and tells how that goes.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"

	"github.com/drover-dev/drover/examples/nethttp/tasks"
)

func main() {
	client, err := drover.New(drover.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	server := &http.Server{
		Addr:              cmp.Or(os.Getenv("ADDRESS"), "127.0.0.1:8000"),
		Handler:           routes(client),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

func routes(client *drover.Client) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /users/{id}/process", func(answer http.ResponseWriter, request *http.Request) {
		id, err := strconv.Atoi(request.PathValue("id"))
		if err != nil {
			tell(answer, http.StatusBadRequest, map[string]string{"error": "a user's id is a number"})
			return
		}
		job, err := tasks.ProcessUser.Submit(request.Context(), client, tasks.User{ID: id})
		if err != nil {
			tellError(answer, err)
			return
		}
		tell(answer, http.StatusAccepted, map[string]string{"task_id": job.ID})
	})
	mux.HandleFunc("GET /jobs/{id}", func(answer http.ResponseWriter, request *http.Request) {
		job, err := client.Status(request.Context(), request.PathValue("id"))
		if err != nil {
			tellError(answer, err)
			return
		}
		tell(answer, http.StatusOK, map[string]any{
			"task_id": job.ID, "state": job.State, "ready": job.State.Ended(), "progress": job.Progress, "failure": job.Failure,
			"attempt": job.Attempt, "submitted_at": job.SubmittedAt, "result": json.RawMessage(resultOf(job)),
		})
	})
	mux.HandleFunc("GET /jobs/{id}/result", func(answer http.ResponseWriter, request *http.Request) {
		timeout, err := time.ParseDuration(cmp.Or(request.FormValue("timeout"), "30s"))
		if err != nil {
			tell(answer, http.StatusBadRequest, map[string]string{"error": "timeout: a duration such as 30s"})
			return
		}
		ctx, cancel := context.WithTimeout(request.Context(), timeout)
		defer cancel()
		report, err := tasks.ProcessUser.Job(client, request.PathValue("id")).Result(ctx)
		if err != nil {
			tellError(answer, err)
			return
		}
		tell(answer, http.StatusOK, report)
	})
	return mux
}

func resultOf(job drover.Job) []byte {
	if job.Result == nil {
		return []byte("null")
	}
	return job.Result.Data
}

func tell(answer http.ResponseWriter, code int, body any) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(code)
	if err := json.NewEncoder(answer).Encode(body); err != nil {
		log.Print(err)
	}
}

func tellError(answer http.ResponseWriter, err error) {
	var (
		late   *drover.WaitError
		failed *drover.FailedError
	)
	switch {
	case errors.As(err, &late):
		tell(answer, http.StatusAccepted, map[string]string{"task_id": late.ID, "state": string(late.State)})
	case errors.As(err, &failed):
		tell(answer, http.StatusOK, map[string]any{"task_id": failed.Job.ID, "failure": failed.Job.Failure})
	case errors.Is(err, drover.ErrJobNotFound):
		tell(answer, http.StatusNotFound, map[string]string{"error": "nobody knows this job"})
	case errors.Is(err, drover.ErrInvalidArgument):
		tell(answer, http.StatusBadRequest, map[string]string{"error": err.Error()})
	default:
		log.Print(err)
		tell(answer, http.StatusServiceUnavailable, map[string]string{"error": "try again later"})
	}
}
