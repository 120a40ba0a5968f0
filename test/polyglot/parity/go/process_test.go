package parity

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	drover "github.com/drover-dev/drover/client-sdk/go"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

// built is the program in worker/, made once.
var built = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "drover-parity-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "worker")
	output, err := exec.Command("go", "build", "-o", program, "./worker").CombinedOutput()
	if err != nil {
		return "", errors.Join(err, errors.New(string(output)))
	}
	return program, nil
})

// workerProgram builds before a scene's time begins.
func workerProgram(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// workerProcess is that program, attached and serving the scene's queue.
func workerProcess(s *scene, program string, flags ...string) (process *exec.Cmd, ended <-chan error) {
	s.Helper()
	process = exec.Command(program, append([]string{"--queues", s.queue, "--concurrency", "2"}, flags...)...)
	process.Env = append(os.Environ(), "DROVER_ADDRESS="+address)
	log := must(process.StderrPipe())(s)
	if err := process.Start(); err != nil {
		s.Fatal(err)
	}
	attached, exited := make(chan struct{}), make(chan error, 1)
	go func() {
		once := sync.OnceFunc(func() { close(attached) })
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), `"worker_attached"`) {
				once()
			}
		}
		exited <- process.Wait()
	}()
	s.Cleanup(func() { _ = process.Process.Kill() })
	select {
	case <-attached:
	case <-s.ctx.Done():
		s.Fatal("the worker does not attach")
	}
	return process, exited
}

type doorway struct {
	Gate  string `json:"gate"`
	Waits string `json:"waits"`
}

// wait submits a job that waits for its gate to be opened, and returns once it waits.
func wait(s *scene) (job drover.TaskHandle[string], open func()) {
	s.Helper()
	folder := s.TempDir()
	door := doorway{filepath.Join(folder, "gate"), filepath.Join(folder, "waits")}
	job = submit(s, define[doorway, string](s, "wait"), door)
	for {
		if _, err := os.Stat(door.Waits); err == nil {
			break
		}
		if s.ctx.Err() != nil {
			s.Fatal("the handler did not begin")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return job, func() {
		if err := os.WriteFile(door.Gate, nil, 0o600); err != nil {
			s.Fatal(err)
		}
	}
}

func Test29WorkerCommand(t *testing.T) {
	program := workerProgram(t)
	s := setting(t, worker.Config{})
	process, ended := workerProcess(s, program, "--log-level", "debug")
	same(s, "result", must(submit(s, define[string, string](s, "greet"), "Ada").Result(s.ctx))(s), "Hello, Ada!")
	job, open := wait(s)
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	open()
	same(s, "what ran at the signal", must(job.Result(s.ctx))(s), "opened")
	if err := <-ended; err != nil {
		s.Errorf("the process: %v", err)
	}
}

func Test29ASecondSignalEndsTheWorkerAtOnce(t *testing.T) {
	program := workerProgram(t)
	s := setting(t, worker.Config{})
	process, ended := workerProcess(s, program)
	job, _ := wait(s)
	var exit *exec.ExitError
	for err := error(nil); !errors.As(err, &exit); {
		if err := process.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.Fatal(err)
		}
		select {
		case err = <-ended:
			if err == nil {
				s.Fatal("it ended with 0, and so had drained")
			}
		case <-time.After(100 * time.Millisecond):
		}
		if errors.As(err, &exit) {
			break
		}
	}
	same(s, "exit code", exit.ExitCode(), 1)
	crashed := s.until(job.JobHandle, "given up", func(job drover.Job) bool { return job.Crashes == 1 })
	same(s, "state", crashed.State, drover.Ready)
}

func TestAHandlerThatExitsTheProcessIsACrashThatTheClientCanRead(t *testing.T) {
	program := workerProgram(t)
	s := setting(t, worker.Config{})
	_, ended := workerProcess(s, program)
	job := submit(s, define[struct{}, struct{}](s, "exit"), struct{}{}, drover.MaxCrashes(0))
	_, err := job.Result(s.ctx)
	var failed *drover.FailedError
	if !errors.As(err, &failed) || failed.Job.Failure.Reason != "LOST" || failed.Job.Crashes != 1 {
		s.Errorf("result: %v", err)
	}
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != 7 {
		s.Errorf("the process: %v", err)
	}
}

func TestWhatAHandlerCannotDoIsReadableAtTheClient(t *testing.T) {
	s := setting(t, worker.Config{})
	channel := define[user, any](s, "channel")
	checked := define[any, int](s, "checked")
	worker.Serve(s.worker, channel, func(context.Context, user) (any, error) { return make(chan int), nil })
	worker.Handle(s.worker, "checked", func(_ context.Context, in percentage) (int, error) { return in.Percent, nil })
	s.run()
	for _, test := range []struct {
		rule  string
		job   drover.JobHandle
		tells string
	}{
		{"a result that has no JSON", submit(s, channel, user{1}).JobHandle, "unsupported type: chan int"},
		{"a field of another type", submit(s, checked, any(map[string]any{"percent": "x"})).JobHandle, "percentage.percent of type int"},
		{"a value that its type refuses", submit(s, checked, any(map[string]any{"percent": 101})).JobHandle, "percent: 101 is over 100"},
	} {
		failed := s.ended(test.job, drover.Failed)
		if failed.Failure.Reason != "PERMANENT" || failed.Attempt != 1 || !strings.Contains(failed.Failure.Message, test.tells) {
			s.Errorf("%s: %+v", test.rule, failed.Failure)
		}
	}
}

type percentage struct {
	Percent int `json:"percent"`
}

func (p percentage) Validate() error {
	if p.Percent > 100 {
		return errors.New("percent: 101 is over 100")
	}
	return nil
}
