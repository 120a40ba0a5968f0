package parity

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	drover "github.com/drover-dev/drover/client-sdk/go"
	worker "github.com/drover-dev/drover/worker-sdk/go"
)

// What the READMEs tell to write for spans, word for word.

func traceSubmit(ctx context.Context, headers map[string]string) {
	ctx, span := otel.Tracer("submits").Start(ctx, "submit", trace.WithSpanKind(trace.SpanKindProducer))
	defer span.End()
	otel.GetTextMapPropagator().Inject(ctx, propagation.MapCarrier(headers))
}

func traceRun(ctx context.Context, run func(context.Context) error) error {
	job := worker.FromContext(ctx)
	ctx = otel.GetTextMapPropagator().Extract(ctx, propagation.MapCarrier(job.Headers))
	ctx, span := otel.Tracer("runs").Start(ctx, "run "+job.Task,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(trace.LinkFromContext(ctx)),
		trace.WithAttributes(attribute.String("messaging.message.id", job.ID)))
	defer span.End()
	err := run(ctx)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

func TestTheRecipesForSpansAreThoseOfTheReadmes(t *testing.T) {
	own, err := os.ReadFile("spans_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, readme := range map[string]string{"traceSubmit": "client-sdk", "traceRun": "worker-sdk"} {
		from := strings.Index(string(own), "func "+name+"(")
		recipe := string(own)[from:]
		recipe = recipe[:strings.Index(recipe, "\n}\n")+len("\n}\n")]
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", readme, "go", "README.md"))
		if err != nil || !strings.Contains(string(text), recipe) {
			t.Errorf("%s/go/README.md does not have (%v):\n%s", readme, err, recipe)
		}
	}
}

func TestASubmitAndItsRunAreLinkedSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	s := setting(t, worker.Config{})
	fails := define[struct{}, string](s, "fails", drover.Retries(0))
	greet := define[string, string](s, "traced_greet")
	worker.Serve(s.worker, greet, func(_ context.Context, name string) (string, error) { return "hello " + name, nil })
	worker.Serve(s.worker, fails, func(context.Context, struct{}) (string, error) { return "", errors.New("not today") })
	s.worker.Around(traceRun)
	stop := s.run()
	client := must(drover.New(drover.Config{Addresses: s.broker.Addresses(), InjectTrace: traceSubmit}))(s)
	defer client.Close()

	greeted := must(greet.Submit(s.ctx, client, "Ada"))(s)
	same(s, "result", must(greeted.Result(s.ctx))(s), "hello Ada")
	failed := must(fails.Submit(s.ctx, client, struct{}{}))(s)
	s.ended(failed.JobHandle, drover.Failed)
	stop() // once its span has ended, too

	for id, outcome := range map[string]codes.Code{greeted.ID: codes.Unset, failed.ID: codes.Error} {
		run := spanOf(s, spans, func(span sdktrace.ReadOnlySpan) bool {
			return span.SpanKind() == trace.SpanKindConsumer && strings.Contains(attributes(span), id)
		})
		submit := spanOf(s, spans, func(span sdktrace.ReadOnlySpan) bool {
			return span.SpanContext().SpanID() == run.Parent().SpanID()
		})
		same(s, "kind of the parent", submit.SpanKind(), trace.SpanKindProducer)
		same(s, "trace", run.SpanContext().TraceID(), submit.SpanContext().TraceID())
		same(s, "links", len(run.Links()), 1)
		same(s, "link", run.Links()[0].SpanContext.SpanID(), submit.SpanContext().SpanID())
		same(s, "status", run.Status().Code, outcome)
	}
}

func spanOf(s *scene, spans *tracetest.SpanRecorder, is func(sdktrace.ReadOnlySpan) bool) sdktrace.ReadOnlySpan {
	s.Helper()
	for _, span := range spans.Ended() {
		if is(span) {
			return span
		}
	}
	s.Fatalf("no such span among %d", len(spans.Ended()))
	return nil
}

func attributes(span sdktrace.ReadOnlySpan) string {
	var text strings.Builder
	for _, attribute := range span.Attributes() {
		text.WriteString(attribute.Value.Emit() + "\n")
	}
	return text.String()
}
