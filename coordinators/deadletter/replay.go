package deadletter

import (
	"context"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// usualRate is how many letters are replayed in a second if nobody says.
	usualRate = 10
	mostRate  = 10_000
	// mostWaiting bounds how many replays wait for their outcomes at a time.
	mostWaiting = 256
)

// Replay writes the records of the letters that are selected to their topic again,
// in the order in which they came, and tells what becomes of each. What is
// written goes its way also if the caller is gone.
func (s *Service) Replay(r *angzarr.ReplayDeadLettersRequest, stream grpc.ServerStreamingServer[angzarr.ReplayedDeadLetter]) error {
	ctx := stream.Context()
	sel, st := selectionOf(r.Selection)
	rate := r.PerSecond
	if rate == 0 {
		rate = usualRate
	}
	switch {
	case st != nil:
		return st.Err()
	case sel.domain == "":
		return status.Error(codes.InvalidArgument, "selection.domain: is missing: the letters of one domain are replayed at a time")
	case !(rate > 0 && rate <= mostRate):
		return status.Errorf(codes.InvalidArgument, "per_second: is %v; want more than 0 and at most %d", rate, mostRate)
	}
	if _, st := s.c.Domains.Find(ctx, "selection.domain", sel.domain); st != nil {
		return st.Err()
	}
	letters, st := s.read(ctx, sel.domain, func(l *log.DeadLetter) bool {
		takes := l.Dropped == "" && sel.takes(l)
		l.Key, l.Value, l.Headers = nil, nil, nil // of all at the same time it may be much
		return takes
	})
	if st != nil {
		return st.Err()
	}
	run := replaying{service: s, domain: sel.domain, stream: stream, slots: make(chan struct{}, mostWaiting)}
	defer run.readers.stop()
	return run.all(ctx, letters, time.Duration(float64(time.Second)/rate))
}

// replaying is one Replay under way.
type replaying struct {
	service *Service
	domain  string
	slots   chan struct{}
	group   sync.WaitGroup
	readers readers

	mu     sync.Mutex
	stream grpc.ServerStreamingServer[angzarr.ReplayedDeadLetter]
	failed error
}

func (p *replaying) all(ctx context.Context, letters []*log.DeadLetter, pause time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i, batch := 0, 0; i < len(letters) && ctx.Err() == nil; i += batch {
		batch = min(mostWaiting, len(letters)-i)
		full, st := p.service.reread(ctx, p.domain, letters[i:i+batch])
		if st != nil {
			cancel()
			p.group.Wait()
			return st.Err()
		}
		for _, l := range letters[i : i+batch] {
			p.one(ctx, l, full[l.ID])
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
	p.group.Wait()
	if p.failed == nil && ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return p.failed
}

// reread gets what the letters hold.
func (s *Service) reread(ctx context.Context, domain string, letters []*log.DeadLetter) (log.Letters, *status.Status) {
	wanted := make(map[log.LetterID]bool, len(letters))
	for _, l := range letters {
		wanted[l.ID] = true
	}
	found, st := s.read(ctx, domain, func(l *log.DeadLetter) bool { return wanted[l.ID] && l.Dropped == "" })
	full := make(log.Letters, len(found))
	for _, l := range found {
		full[l.ID] = l
	}
	return full, st
}

// posting is [Poster]'s Post.
type posting func(ctx context.Context, r *log.Record, written func()) (*angzarr.Outcome, error)

// one begins the replay of a letter. Records are written one after another, so
// that those of one root are in their order; outcomes are waited for beside that.
func (p *replaying) one(ctx context.Context, known, l *log.DeadLetter) {
	if why := cannotReplay(p.domain, l); why != "" {
		p.tell(&angzarr.ReplayedDeadLetter{Letter: protoOf(p.domain, known), NotReplayed: why})
		return
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	written := make(chan struct{})
	var post posting
	var record log.Record
	if l.ID.Reader == "" {
		post, record = p.service.c.Poster.Post, l.Replay()
	} else {
		if err := p.readers.follow(ctx, p.service, p.domain); err != nil {
			<-p.slots
			p.tell(&angzarr.ReplayedDeadLetter{Letter: protoOf(p.domain, l), NotReplayed: err.Error()})
			return
		}
		post, record = p.readers.asking(l.ID, p.service.c.Writer), l.Ask(p.domain)
	}
	p.group.Go(func() {
		defer func() { <-p.slots }()
		told := &angzarr.ReplayedDeadLetter{Letter: protoOf(p.domain, l)}
		outcome, err := post(ctx, &record, func() { close(written) })
		switch {
		case err == nil:
			told.Outcome = outcome
		case ctx.Err() == nil:
			told.NotReplayed = err.Error()
		}
		p.tell(told)
	})
	select {
	case <-written:
	case <-ctx.Done():
	}
}

// cannotReplay says why a letter can't be replayed, "" if it can.
func cannotReplay(domain string, l *log.DeadLetter) string {
	switch {
	case l == nil:
		return "somebody was done with it meanwhile"
	case l.Cut && l.ID.Reader != "":
		return "its event was too large to be kept with it, and only a rebuild of its reader has it called again"
	case l.Cut:
		return "its record was too large to be kept with it: write it again from its source, as long as that is kept"
	case l.ID.Reader != "" && l.ID.Source.Topic != log.EventsTopic(domain),
		l.ID.Reader == "" && l.ID.Source.Topic != log.CommandsTopic(domain):
		return "it is of no topic from which anything is handled: " + l.ID.Source.Topic
	}
	return ""
}

// tell sends what became of a letter.
func (p *replaying) tell(r *angzarr.ReplayedDeadLetter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stream.Send(r); err != nil && p.failed == nil {
		p.failed = err
	}
}
