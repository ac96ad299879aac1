package deadletter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/code"
)

// readersPatience is how long it is waited for what a projector or a saga makes of a
// letter.
const readersPatience = 20 * time.Second

// readers follows the dead letters of a domain that projectors and sagas were asked
// to handle again.
type readers struct {
	cancel context.CancelFunc // nil before it follows
	ended  chan struct{}

	mu      sync.Mutex
	waiting map[log.LetterID]chan *angzarr.Outcome
}

// follow follows what is written from now on, unless it does so already.
func (f *readers) follow(ctx context.Context, s *Service, domain string) error {
	if f.cancel != nil {
		return nil
	}
	topic := log.DeadLettersTopic(domain)
	ends, err := s.c.Admin.HighWatermarks(ctx, topic)
	if err != nil {
		return fmt.Errorf("the dead letters of %s can't be read: %w", domain, err)
	}
	ctx, f.cancel = context.WithCancel(ctx)
	f.ended, f.waiting = make(chan struct{}), make(map[log.LetterID]chan *angzarr.Outcome)
	go func() {
		defer close(f.ended)
		// Without it letters are asked for, and nobody says what becomes of them.
		_ = s.c.Cluster.Tail(ctx, topic, ends, func(stretch log.Stretch) {
			for i := range stretch.Records {
				f.take(&stretch.Records[i])
			}
		})
	}()
	return nil
}

func (f *readers) stop() {
	if f.cancel != nil {
		f.cancel()
		<-f.ended
	}
}

// take takes in what was said of a letter.
func (f *readers) take(r *log.Record) {
	l, err := log.DecodeLetter(r)
	outcome := &angzarr.Outcome{}
	switch {
	case errors.Is(err, log.ErrNoLetter), err == nil && l.Dropped != "":
	case err != nil, l.Asked:
		return
	default:
		outcome.DeadLetter, outcome.Message = true, l.Message
		outcome.Code = code.Code_value[spelled(l.Cause)]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if waits := f.waiting[l.ID]; waits != nil {
		waits <- outcome
		delete(f.waiting, l.ID)
	}
}

// asking gives what writes that a letter is to be handled again, and waits for what
// becomes of it, though not for long.
func (f *readers) asking(id log.LetterID, writer *log.Writer) posting {
	waits := make(chan *angzarr.Outcome, 1)
	f.mu.Lock()
	f.waiting[id] = waits
	f.mu.Unlock()
	return func(ctx context.Context, r *log.Record, written func()) (*angzarr.Outcome, error) {
		err := writer.Write(ctx, r)
		written()
		if err != nil {
			return nil, err
		}
		late := time.NewTimer(readersPatience)
		defer late.Stop()
		select {
		case outcome := <-waits:
			return outcome, nil
		case <-late.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
