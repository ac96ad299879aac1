package frontdoor

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
)

// waiting are those who wait for replies, each under a name of its own: two
// callers may use the same command id, and each waits for its own copies.
type waiting struct {
	mu sync.Mutex
	by map[string]*waiter
}

// waiter waits for the reply to one of the copies that it has written.
type waiter struct {
	name    string
	replies chan reply
}

// reply is what became of a copy.
type reply struct {
	copied  int
	outcome *angzarr.Outcome
}

func (w *waiting) begin() *waiter {
	new := &waiter{name: newTag(), replies: make(chan reply, 4)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = make(map[string]*waiter)
	}
	w.by[new.name] = new
	return new
}

func (w *waiting) end(gone *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.by, gone.name)
}

// find gives who waits for the copy with that tag, nil if nobody does.
func (w *waiting) find(tag string) (*waiter, int) {
	name, number, _ := strings.Cut(tag, "/")
	copied, err := strconv.Atoi(number)
	if err != nil {
		return nil, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by[name], copied
}

// tag is the header of the waiter's n-th copy.
func (w *waiter) tag(n int) []byte { return []byte(w.name + "/" + strconv.Itoa(n)) }

// take never blocks: a reply that finds no room is asked for again.
func (w *waiter) take(r reply) {
	select {
	case w.replies <- r:
	default:
	}
}

var errNoReply = errors.New("no reply has come yet")

// wait waits for what settles the command after n copies.
func (w *waiter) wait(ctx context.Context, n int, patience time.Duration) (*angzarr.Outcome, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case r := <-w.replies:
			if r.outcome.Code == 0 || r.copied == n {
				return r.outcome, nil
			}
		case <-ctx.Done():
			return nil, errNoReply
		case <-timer.C:
			return nil, errNoReply
		}
	}
}

func refusal(o *angzarr.Outcome) error {
	return status.ErrorProto(&statuspb.Status{Code: o.Code, Message: o.Message, Details: o.Details})
}

// pages reads a command's pages, which are committed, from the log.
func (t *Topic) pages(ctx context.Context, p *parcel, first, last uint32) ([]*angzarr.EventPage, error) {
	var pages []*angzarr.EventPage
	root, topic := log.Root(p.cover.Root.Value), log.EventsTopic(p.cover.Domain)
	err := t.cluster.Scan(ctx, topic, map[int32]log.Span{p.partition: {To: math.MaxInt64}}, func(r *log.Record) error {
		of, sequence, kind := log.ParseKey(r.Key)
		if kind != log.KeyPage || of != root || sequence < first || sequence > last || r.Value == nil {
			return nil
		}
		page, err := log.DecodePage(r)
		if err != nil {
			return err
		}
		pages = append(pages, page.Proto())
		if sequence == last {
			return log.ErrStop
		}
		return nil
	})
	return pages, err
}
