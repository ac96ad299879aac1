package query

import (
	"context"
	"errors"
	"sync"
)

// room bounds what waits for one subscriber, in bytes. It is for a moment's
// delay: who is slower reads the log.
const room = 4 << 20

// errBehind says that a subscriber is too slow for the tail.
var errBehind = errors.New("behind")

// piece is a part of one partition: the wanted pages, and where the next record
// stands.
type piece struct {
	partition int32
	items     []item
	next      int64
	epoch     int32 // of the leader under which it was read, -1 if that is not known
}

// queue is between the tail of a domain and one subscriber. Nothing is missing
// between what it gives; it ends before what it has no room for.
type queue struct {
	some chan struct{} // holds one when there is something

	mu     sync.Mutex
	pieces []piece
	size   int
	ended  error
}

func newQueue() *queue { return &queue{some: make(chan struct{}, 1)} }

// put adds a piece. It never waits.
func (q *queue) put(p piece) {
	size := overhead
	for i := range p.items {
		size += overhead + p.items[i].size
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	last := len(q.pieces) - 1
	switch {
	case q.ended != nil:
		return
	case q.size > 0 && q.size+size > room:
		q.ended = errBehind
	case len(p.items) == 0 && last >= 0 && q.pieces[last].partition == p.partition:
		q.pieces[last].next, q.pieces[last].epoch = p.next, p.epoch
	default:
		q.pieces = append(q.pieces, p)
		q.size += size
	}
	q.signal()
}

// end says that nothing comes any more, and why.
func (q *queue) end(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended == nil {
		q.ended = why
		q.signal()
	}
}

func (q *queue) signal() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take waits for what there is, and gives all of it; or the error that the queue
// has ended with.
func (q *queue) take(ctx context.Context) ([]piece, error) {
	for {
		q.mu.Lock()
		pieces, ended := q.pieces, q.ended
		q.pieces, q.size = nil, 0
		q.mu.Unlock()
		switch {
		case len(pieces) > 0:
			return pieces, nil
		case ended != nil:
			return nil, ended
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.some:
		}
	}
}
