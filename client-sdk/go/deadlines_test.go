package drover

// A broker that hangs hangs nobody: whatever a client is asked ends with an error once its time is over.

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

type callTest struct {
	do func(context.Context, *Client) error
	// How much longer than a call it may take by itself.
	lasts time.Duration
}

// A wait that hangs is noticed a poll later than any other call, and given up by the next one that hangs too.
const waitLasts = 2*longPoll + tryTimeout

var someTask = Define[int, int]("t")

// every function and method that asks a broker.
var calls = map[string]callTest{
	"Client.Submit": {do: func(ctx context.Context, c *Client) error { return failed(c.Submit(ctx, "t", 1)) }},
	"Client.SubmitSpec": {do: func(ctx context.Context, c *Client) error {
		return failed(c.SubmitSpec(ctx, NewSpec("t", 1, RejectExisting())))
	}},
	"Client.SubmitBatch": {do: func(ctx context.Context, c *Client) error {
		return failed(c.SubmitBatch(ctx, slices.Repeat([]Spec{NewSpec("t", 1)}, 10*maxBatch)))
	}},
	"Client.SubmitFlow": {do: func(ctx context.Context, c *Client) error { return failed(c.SubmitFlow(ctx, Step("t", 1))) }},
	"Client.Status":     {do: func(ctx context.Context, c *Client) error { return failed(c.Status(ctx, "t~k")) }},
	"Client.Wait":       {do: func(ctx context.Context, c *Client) error { return failed(c.Wait(ctx, "t~k")) }, lasts: waitLasts},
	"Client.Watch":      {do: func(ctx context.Context, c *Client) error { return last(c.Watch(ctx, "t~k")) }},
	"Client.Cancel": {do: func(ctx context.Context, c *Client) error {
		_, _, err := c.Cancel(ctx, "t~k", "")
		return err
	}},
	"Client.Redrive":      {do: func(ctx context.Context, c *Client) error { return failed(c.Redrive(ctx, "t~k")) }},
	"Client.Explain":      {do: func(ctx context.Context, c *Client) error { return failed(c.Explain(ctx, "t~k")) }},
	"Client.Move":         {do: func(ctx context.Context, c *Client) error { return failed(c.Move(ctx, "t~k", Place{})) }},
	"Client.Queues":       {do: func(ctx context.Context, c *Client) error { return failed(c.Queues(ctx)) }},
	"Client.Queue":        {do: func(ctx context.Context, c *Client) error { return failed(c.Queue(ctx, "q")) }},
	"Client.PauseQueue":   {do: func(ctx context.Context, c *Client) error { return c.PauseQueue(ctx, "q") }},
	"Client.ResumeQueue":  {do: func(ctx context.Context, c *Client) error { return c.ResumeQueue(ctx, "q") }},
	"Client.PurgeQueue":   {do: func(ctx context.Context, c *Client) error { return failed(c.PurgeQueue(ctx, "q", Purge{})) }, lasts: purgePatience},
	"Client.LimitTask":    {do: func(ctx context.Context, c *Client) error { return c.LimitTask(ctx, "t", Limits{}) }},
	"Client.LimitQueue":   {do: func(ctx context.Context, c *Client) error { return c.LimitQueue(ctx, "q", Limits{}) }},
	"Client.PutRoutes":    {do: func(ctx context.Context, c *Client) error { return failed(c.PutRoutes(ctx, "o", nil)) }},
	"Client.Routes":       {do: func(ctx context.Context, c *Client) error { return failed(c.Routes(ctx)) }},
	"Client.PutSchedules": {do: func(ctx context.Context, c *Client) error { return failed(c.PutSchedules(ctx, "o", nil, false)) }},
	"Client.Schedule":     {do: func(ctx context.Context, c *Client) error { return failed(c.Schedule(ctx, "s")) }},
	"Client.DeleteSchedule": {do: func(ctx context.Context, c *Client) error {
		return c.DeleteSchedule(ctx, "s")
	}},
	"Client.PauseSchedule":  {do: func(ctx context.Context, c *Client) error { return c.PauseSchedule(ctx, "s") }},
	"Client.ResumeSchedule": {do: func(ctx context.Context, c *Client) error { return c.ResumeSchedule(ctx, "s") }},
	"Client.TriggerSchedule": {do: func(ctx context.Context, c *Client) error {
		return failed(c.TriggerSchedule(ctx, "s"))
	}},
	"Client.PreviewSchedule": {do: func(ctx context.Context, c *Client) error {
		return failed(c.PreviewSchedule(ctx, Every("s", time.Minute, NewSpec("t", 1)), time.Time{}, 1))
	}},
	"Client.Active":      {do: func(ctx context.Context, c *Client) error { return failed(c.Active(ctx)) }},
	"Client.Registered":  {do: func(ctx context.Context, c *Client) error { return failed(c.Registered(ctx)) }},
	"JobHandle.Status":   {do: func(ctx context.Context, c *Client) error { return failed(c.Job("t~k").Status(ctx)) }},
	"JobHandle.Wait":     {do: func(ctx context.Context, c *Client) error { return failed(c.Job("t~k").Wait(ctx)) }, lasts: waitLasts},
	"JobHandle.Watch":    {do: func(ctx context.Context, c *Client) error { return last(c.Job("t~k").Watch(ctx)) }},
	"JobHandle.Cancel":   {do: func(ctx context.Context, c *Client) error { _, _, err := c.Job("t~k").Cancel(ctx, ""); return err }},
	"JobHandle.Redrive":  {do: func(ctx context.Context, c *Client) error { return failed(c.Job("t~k").Redrive(ctx)) }},
	"JobHandle.Explain":  {do: func(ctx context.Context, c *Client) error { return failed(c.Job("t~k").Explain(ctx)) }},
	"JobHandle.Move":     {do: func(ctx context.Context, c *Client) error { return failed(c.Job("t~k").Move(ctx, Place{})) }},
	"Task.Submit":        {do: func(ctx context.Context, c *Client) error { return failed(someTask.Submit(ctx, c, 1)) }},
	"TaskHandle.Result":  {do: func(ctx context.Context, c *Client) error { return failed(someTask.Job(c, "t~k").Result(ctx)) }, lasts: waitLasts},
	"Result":             {do: func(ctx context.Context, c *Client) error { return failed(Result[int](ctx, c, "t~k")) }, lasts: waitLasts},
	"FlowHandle.Status":  {do: func(ctx context.Context, c *Client) error { return failed(c.Flow("f").Status(ctx)) }},
	"FlowHandle.Members": {do: func(ctx context.Context, c *Client) error { return last(c.Flow("f").Members(ctx)) }},
	"FlowHandle.Watch":   {do: func(ctx context.Context, c *Client) error { return last(c.Flow("f").Watch(ctx)) }},
	"FlowHandle.Wait":    {do: func(ctx context.Context, c *Client) error { return failed(c.Flow("f").Wait(ctx)) }},
	"FlowHandle.Outcomes": {do: func(ctx context.Context, c *Client) error {
		return failed(c.Flow("f").Outcomes(ctx))
	}},
	"FlowHandle.Cancel":  {do: func(ctx context.Context, c *Client) error { return failed(c.Flow("f").Cancel(ctx, "")) }},
	"FlowHandle.Redrive": {do: func(ctx context.Context, c *Client) error { return failed(c.Flow("f").Redrive(ctx)) }},
	"FlowResult":         {do: func(ctx context.Context, c *Client) error { return failed(FlowResult[int](ctx, c.Flow("f"))) }},
	"FlowResults":        {do: func(ctx context.Context, c *Client) error { return failed(FlowResults[int](ctx, c.Flow("f"))) }},
}

func failed[T any](_ T, err error) error { return err }

func last[T any](told iter.Seq2[T, error]) error {
	var last error
	for _, err := range told {
		last = err
	}
	return last
}

func TestNoCallIsLeftOutHere(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && takesContext(function) {
				if name := receiver(function) + function.Name.Name; ast.IsExported(name) && function.Name.IsExported() {
					found = append(found, name)
				}
			}
		}
	}
	for _, name := range found {
		if _, ok := calls[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if len(found) != len(calls) {
		t.Errorf("%d calls in the package, %d here", len(found), len(calls))
	}
}

func takesContext(function *ast.FuncDecl) bool {
	return slices.ContainsFunc(function.Type.Params.List, func(parameter *ast.Field) bool {
		selector, ok := parameter.Type.(*ast.SelectorExpr)
		return ok && selector.Sel.Name == "Context"
	})
}

// receiver is the name of a method's type and a dot, or nothing.
func receiver(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return ""
	}
	kind := function.Recv.List[0].Type
	for {
		switch now := kind.(type) {
		case *ast.StarExpr:
			kind = now.X
		case *ast.IndexExpr:
			kind = now.X
		case *ast.IndexListExpr:
			kind = now.X
		case *ast.Ident:
			return now.Name + "."
		default:
			return ""
		}
	}
}

func TestWithABrokerThatHangsEveryCallEndsWithItsContext(t *testing.T) {
	for kind, broker := range map[string]func(*testing.T) string{
		"takes connections and says nothing": muteBroker,
		"takes calls and answers none":       hangingBroker,
	} {
		t.Run(kind, func(t *testing.T) {
			client := clientAt(t, broker(t))
			var group sync.WaitGroup
			for name, call := range calls {
				group.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					ended := make(chan error, 1)
					go func() { ended <- call.do(ctx, client) }()
					select {
					case err := <-ended:
						if !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("%s: got %v", name, err)
						}
					case <-time.After(20 * time.Second):
						t.Errorf("%s hangs", name)
					}
				})
			}
			group.Wait()
		})
	}
}

// hangingConn is a connection to a broker that takes calls and answers none, in whatever time the test has.
type hangingConn struct{}

func (hangingConn) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

func (hangingConn) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return hangingStream{ctx: ctx}, nil
}

type hangingStream struct {
	grpc.ClientStream
	ctx context.Context
}

func (hangingStream) SendMsg(any) error { return nil }
func (hangingStream) CloseSend() error  { return nil }
func (s hangingStream) RecvMsg(any) error {
	<-s.ctx.Done()
	return status.FromContextError(s.ctx.Err()).Err()
}

func TestWithABrokerThatHangsEveryCallEndsWithoutADeadlineToo(t *testing.T) {
	const retryFor = 45 * time.Second
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, err := New(Config{Conn: hangingConn{}, RetryFor: retryFor})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				err = call.do(context.Background(), client)
				took := time.Since(began)
				if !errors.Is(err, context.DeadlineExceeded) || took > retryFor+tryTimeout+call.lasts {
					t.Errorf("got %v after %v", err, took)
				}
			})
		})
	}
}

func TestSubmitsInLineBehindCallsThatHangEndToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := New(Config{Conn: hangingConn{}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		const submits = 20 * maxGathered
		ended := make(chan error, submits)
		for i := range submits {
			go func() { ended <- failed(client.Submit(context.Background(), "t", i)) }()
		}
		for range submits {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
		}
		if took := time.Since(began); took > client.retryFor+tryTimeout {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Minute) // until the calls that they waited for have ended
	})
}
