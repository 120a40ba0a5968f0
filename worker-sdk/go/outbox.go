package worker

// The outbox is what goes up in one session. It gathers: whatever was posted since the last message goes in the next
// one, so that a single outcome leaves at once and a burst leaves in a few messages. It belongs to the ledger and is
// guarded by its lock.

import (
	"google.golang.org/protobuf/proto"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

const (
	maxOutcomes = 1000
	// Well under gRPC's 4 MiB, in bytes.
	maxMessage = 1 << 20
	// With this many Outcomes messages unsettled it is the broker that is busy, and gathering on costs nothing.
	maxFlights = 8
)

type outbox struct {
	// Signalled when there may be something to send.
	wake chan struct{}
	// Between attached and the end of the session.
	attached bool
	// Leases by their names in this session.
	named    map[uint64]*run
	outcomes []*run
	flights  int
	// The latest of each run that was not sent yet, and whether some was sent within the gathering time.
	progress     map[*run]*droverv1.Progress
	progressSent bool
	pongs        int
	// What is so, and what the broker was told in this session.
	credit, creditTold int
	drain, drainTold   bool
}

// flight is an Outcomes message of which open outcomes are not settled.
type flight struct{ open int }

func newOutbox() outbox {
	return outbox{wake: make(chan struct{}, 1), named: map[uint64]*run{}, progress: map[*run]*droverv1.Progress{}}
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// open begins a session that was attached with this credit.
func (o *outbox) open(credit int) {
	o.attached = true
	o.creditTold = credit
	o.signal()
}

// close forgets the session. Progress stays for the next one.
func (o *outbox) close() {
	o.attached, o.drainTold, o.progressSent = false, false, false
	o.outcomes, o.pongs, o.flights = nil, 0, 0
	clear(o.named)
}

func (o *outbox) name(r *run, id uint64) {
	delete(o.named, r.id)
	r.id = id
	o.named[id] = r
}

func (o *outbox) isNamed(r *run) bool { return o.named[r.id] == r }

// forget takes back what was posted for a lease that is settled or lost.
func (o *outbox) forget(r *run) {
	if o.isNamed(r) {
		delete(o.named, r.id)
	}
	delete(o.progress, r)
	if r.flight == nil {
		return
	}
	r.flight.open--
	if r.flight.open == 0 {
		o.flights--
		o.signal()
	}
	r.flight = nil
}

// post has no effect between sessions: each begins with posting everything that is unsettled.
func (o *outbox) post(r *run) {
	if o.attached {
		o.outcomes = append(o.outcomes, r)
		o.signal()
	}
}

func (o *outbox) postProgress(r *run, progress *droverv1.Progress) {
	o.progress[r] = progress
	o.signal()
}

func (o *outbox) announce(credit int) {
	if o.credit != credit {
		o.credit = credit
		o.signal()
	}
}

// take returns the messages to send now, in order. again: something was held back to gather; call with gathered set
// after the gathering time.
func (o *outbox) take(gathered bool) (messages []*droverv1.WorkRequest, again bool) {
	if !o.attached {
		return nil, false
	}
	for ; o.pongs > 0; o.pongs-- {
		messages = append(messages, &droverv1.WorkRequest{Message: &droverv1.WorkRequest_Pong{Pong: &droverv1.Pong{}}})
	}
	// Before the outcomes: settling them must not bring more jobs than there are slots.
	if o.credit != o.creditTold {
		o.creditTold = o.credit
		credit := &droverv1.Credit{Jobs: uint32(o.credit)}
		messages = append(messages, &droverv1.WorkRequest{Message: &droverv1.WorkRequest_Credit{Credit: credit}})
	}
	if o.drain && !o.drainTold {
		o.drainTold = true
		messages = append(messages, &droverv1.WorkRequest{Message: &droverv1.WorkRequest_Drain{Drain: &droverv1.Drain{}}})
	}
	if gathered {
		o.progressSent = false
	}
	if !o.progressSent {
		if reports := o.takeProgress(); len(reports) > 0 {
			o.progressSent = true
			progress := &droverv1.ProgressReports{Reports: reports}
			messages = append(messages, &droverv1.WorkRequest{Message: &droverv1.WorkRequest_Progress{Progress: progress}})
		}
	}
	for len(o.outcomes) > 0 && (gathered || o.flights < maxFlights) {
		if outcomes := o.takeOutcomes(); len(outcomes) > 0 {
			messages = append(messages, &droverv1.WorkRequest{Message: &droverv1.WorkRequest_Outcomes{
				Outcomes: &droverv1.Outcomes{Outcomes: outcomes},
			}})
		}
	}
	return messages, o.progressSent || len(o.outcomes) > 0
}

func (o *outbox) takeProgress() []*droverv1.ProgressReport {
	var reports []*droverv1.ProgressReport
	size := 0
	for r, progress := range o.progress {
		if !o.isNamed(r) {
			continue
		}
		if size += len(progress.GetDetail()); size > maxMessage {
			break
		}
		reports = append(reports, &droverv1.ProgressReport{LeaseId: r.id, Progress: progress})
		delete(o.progress, r)
	}
	return reports
}

// takeOutcomes makes one message's worth.
func (o *outbox) takeOutcomes() []*droverv1.Outcome {
	var outcomes []*droverv1.Outcome
	flight, size, taken := &flight{}, 0, 0
	for _, r := range o.outcomes {
		if len(outcomes) == maxOutcomes {
			break
		}
		if o.isNamed(r) {
			r.outcome.LeaseId = r.id
			if size += proto.Size(r.outcome); size > maxMessage && len(outcomes) > 0 {
				break
			}
			outcomes = append(outcomes, r.outcome)
			r.flight = flight
		}
		taken++
	}
	o.outcomes = o.outcomes[taken:]
	if flight.open = len(outcomes); flight.open > 0 {
		o.flights++
	}
	return outcomes
}
