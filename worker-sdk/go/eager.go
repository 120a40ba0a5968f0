package worker

// A broker for tests that is none: jobs run where they are submitted, at once, by the handlers of a worker, with the same
// retry and error rules. Nothing is stored but in memory, and nothing waits: delays and retry waits take no time.

import (
	"context"
	"io"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Eager is what a client can call instead of brokers, for tests of code that submits: a submit returns once the job has
// ended. Jobs and flows can be submitted, and all that their handles can is there; what is for operators (queues, routes,
// schedules, who works) is UNIMPLEMENTED.
//
//	client, err := drover.New(drover.Config{Conn: worker.Eager(w)})
//
// w is not run; its tasks and what is Around them are used, its hooks are not.
func Eager(w *Worker) grpc.ClientConnInterface {
	return &eager{worker: w, jobs: map[string]*eagerJob{}, flows: map[string]*eagerFlow{}}
}

type eager struct {
	worker *Worker
	mu     sync.Mutex
	jobs   map[string]*eagerJob
	flows  map[string]*eagerFlow
}

func (e *eager) Invoke(ctx context.Context, method string, request, response any, _ ...grpc.CallOption) error {
	var answer proto.Message
	var err error
	switch request := request.(type) {
	case *droverv1.SubmitRequest:
		var result *droverv1.SubmitResult
		result, err = e.submit(ctx, request.GetJob(), request.GetOnConflict())
		answer = &droverv1.SubmitResponse{Id: result.GetId(), Deduplicated: result.GetDeduplicated(), State: result.GetState()}
	case *droverv1.SubmitBatchRequest:
		batch := &droverv1.SubmitBatchResponse{}
		for _, job := range request.GetJobs() {
			result, failure := e.submit(ctx, job, request.GetOnConflict())
			if failure != nil {
				from := status.Convert(failure)
				result = &droverv1.SubmitResult{Error: &droverv1.ItemStatus{
					Code: int32(from.Code()), Message: from.Message(), Reason: reasonOfStatus(from),
				}}
			}
			batch.Results = append(batch.Results, result)
		}
		answer = batch
	case *droverv1.StatusRequest:
		var job *droverv1.Job
		job, err = e.find(request.GetId())
		answer = &droverv1.StatusResponse{Job: job}
	case *droverv1.StatusBatchRequest:
		answer = &droverv1.StatusBatchResponse{Results: e.findAll(request.GetIds())}
	case *droverv1.WaitRequest:
		answer = &droverv1.WaitResponse{Done: true, Results: e.findAll(request.GetIds())}
	case *droverv1.CancelRequest:
		// Every job has ended by the time that somebody can ask.
		var job *droverv1.Job
		job, err = e.find(request.GetId())
		answer = &droverv1.CancelResponse{
			Outcome: droverv1.CancelOutcome_CANCEL_OUTCOME_ALREADY_FINISHED, PreviousState: job.GetState(),
		}
	case *droverv1.RedriveRequest:
		var job *droverv1.Job
		job, err = e.redrive(ctx, request.GetId())
		answer = &droverv1.RedriveResponse{Job: job}
	case *droverv1.ExplainRequest:
		answer, err = e.explain(request.GetId())
	case *droverv1.MoveRequest:
		err = e.refuseMove(request.GetId())
	case *droverv1.FlowServiceSubmitRequest:
		answer = e.submitFlow(ctx, request.GetFlow())
	case *droverv1.FlowServiceGetRequest:
		answer, err = e.flow(request)
	case *droverv1.FlowServiceCancelRequest:
		_, err = e.flowOf(request.GetKey())
		answer = &droverv1.FlowServiceCancelResponse{AlreadyFinished: true}
	case *droverv1.FlowServiceRedriveRequest:
		answer, err = e.redriveFlow(ctx, request.GetKey())
	default:
		return status.Errorf(codes.Unimplemented, "%s is not there without a broker", method)
	}
	if err == nil {
		proto.Merge(response.(proto.Message), answer)
	}
	return err
}

// NewStream serves the two watches: one message, for what has ended.
func (e *eager) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &eagerStream{ctx: ctx, eager: e, method: method}, nil
}

type eagerStream struct {
	ctx    context.Context
	eager  *eager
	method string
	answer proto.Message
	err    error
}

func (s *eagerStream) SendMsg(request any) error {
	switch request := request.(type) {
	case *droverv1.WatchRequest:
		job, err := s.eager.find(request.GetId())
		s.answer, s.err = &droverv1.WatchResponse{Job: job}, err
	case *droverv1.FlowServiceWatchRequest:
		answer, err := s.eager.flow(&droverv1.FlowServiceGetRequest{Key: request.GetKey()})
		s.answer, s.err = &droverv1.FlowServiceWatchResponse{Flow: answer.GetFlow()}, err
	default:
		s.err = status.Errorf(codes.Unimplemented, "%s is not there without a broker", s.method)
	}
	return nil
}

func (s *eagerStream) RecvMsg(response any) error {
	if s.err != nil {
		return s.err
	}
	s.err = io.EOF
	proto.Merge(response.(proto.Message), s.answer)
	return nil
}

func (s *eagerStream) CloseSend() error             { return nil }
func (s *eagerStream) Context() context.Context     { return s.ctx }
func (s *eagerStream) Header() (metadata.MD, error) { return nil, nil }
func (s *eagerStream) Trailer() metadata.MD         { return nil }

func refusal(code codes.Code, reason, message string) error {
	refused, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "drover.dev"})
	if err != nil {
		return err
	}
	return refused.Err()
}

func reasonOfStatus(from *status.Status) string {
	for _, detail := range from.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}
