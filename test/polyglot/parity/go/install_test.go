package parity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	worker "github.com/drover-dev/drover/worker-sdk/go"
)

// project is an empty module with the SDKs installed, as a stranger would have them, but from this clone.
func project(s *scene, name, readme, heading string) (program string) {
	s.Helper()
	root := must(filepath.Abs(filepath.Join("..", "..", "..", "..")))(s)
	text := string(must(os.ReadFile(filepath.Join(root, readme)))(s))
	found := regexp.MustCompile("(?s)\n## " + heading + "\n.*?```go\n(.*?)```").FindStringSubmatch(text)
	if found == nil {
		s.Fatalf("%s has no program under %s", readme, heading)
	}
	folder := filepath.Join(s.TempDir(), name)
	module := "module example.com/" + name + "\n\ngo 1.26.0\n"
	var sums []byte
	for _, path := range []string{"client-sdk/go", "worker-sdk/go", "proto/gen/go"} {
		module += fmt.Sprintf("replace github.com/drover-dev/drover/%s => %s\n", path, filepath.Join(root, path))
		module += fmt.Sprintf("require github.com/drover-dev/drover/%s v0.0.0-00010101000000-000000000000\n", path)
		sum, err := os.ReadFile(filepath.Join(root, path, "go.sum"))
		if err != nil && !os.IsNotExist(err) {
			s.Fatal(err)
		}
		sums = append(sums, sum...)
	}
	for file, text := range map[string]string{"go.mod": module, "go.sum": string(sums), "main.go": found[1]} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			s.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", "program", ".")
	build.Dir = folder
	// What the modules need is in the module cache; that nothing else is needed is part of the test.
	build.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=-mod=mod -buildvcs=false")
	if output, err := build.CombinedOutput(); err != nil {
		s.Fatalf("%s: %v\n%s", readme, err, output)
	}
	return filepath.Join(folder, "program")
}

func TestTheFirstProgramsOfTheReadmesRunInAnEmptyProject(t *testing.T) {
	s := setting(t, worker.Config{})
	first := exec.Command(project(s, "worker", "worker-sdk/go/README.md", "First worker"), "--queues", "default")
	second := exec.Command(project(s, "client", "client-sdk/go/README.md", "First client"))
	first.Env = append(os.Environ(), "DROVER_ADDRESS="+address)
	second.Env = first.Env
	if err := first.Start(); err != nil {
		s.Fatal(err)
	}
	defer func() {
		_ = first.Process.Kill()
		_ = first.Wait()
	}()
	output, err := second.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "sent as mail.send~") {
		s.Errorf("%s%v", output, err)
	}
}
