package query_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// wish is one thing that a changing subscriber follows at times, and what it has
// got of it.
type wish struct {
	query *angzarr.Query // with the position of the last book
	got   *seen
	asked int // so many pages it had when it asked; -1 if it was told where that begins
}

// changing follows roots and at times all of the domain, changes its queries on the
// open stream, hangs up and resumes, each where that was. In the end it has got each
// page once, of each thing that it has ever asked for.
func (w *world) changing(rng *rand.Rand, doors []angzarr.EventQueryClient, roots []uuid.UUID, done <-chan struct{}) {
	wishes := make(map[log.Root]*wish)
	for _, root := range roots {
		wishes[log.Root(root)] = &wish{query: w.of(root, 0, 0), got: w.nothing()}
	}
	domain := &wish{query: w.all(), got: w.nothing()}
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
			c := &changes{world: w, rng: rng, wishes: wishes, domain: domain}
			c.session(doors[rng.IntN(len(doors))])
		}
	}
	for root, one := range wishes {
		w.finish(rng, doors, one, func(r log.Root) bool { return r == root })
	}
	w.finish(rng, doors, domain, func(log.Root) bool { return true })
}

// finish gets the rest of what is wanted.
func (w *world) finish(rng *rand.Rand, doors []angzarr.EventQueryClient, one *wish, wanted func(log.Root) bool) {
	want := w.logOf(wanted)
	err := w.reading(rng, doors, one.query, one.got, func() (int, bool) { return want.pages, true })
	want.compare(w.T, fmt.Sprintf("who changes queries (%v)", one.query.Root), one.got)
	if err != nil {
		w.Errorf("who changes queries (%v): %v", one.query.Root, err)
	}
}

// changes is one stream of such a subscriber.
type changes struct {
	*world
	rng    *rand.Rand
	wishes map[log.Root]*wish
	domain *wish
	stream grpc.BidiStreamingClient[angzarr.Query, angzarr.EventBook]
	whole  bool // the domain was asked for: only hanging up leads back to roots
}

func (c *changes) session(door angzarr.EventQueryClient) {
	ctx, hangUp := context.WithTimeout(c.Context(), 20*time.Second)
	defer hangUp()
	var err error
	if c.stream, err = door.Synchronize(ctx); err != nil {
		return
	}
	for _, one := range c.wishes {
		one.asked = -1
	}
	c.domain.asked = -1
	for range 1 + c.rng.IntN(4) {
		if c.one() != nil {
			return
		}
	}
	for left := c.rng.IntN(80); left > 0; left-- {
		wait, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		book, err := recv(wait, c.stream, hangUp)
		cancel()
		if err != nil {
			return
		}
		c.take(book)
		if c.rng.IntN(5) == 0 && c.one() != nil {
			return
		}
	}
}

// one asks for one thing more, or anew for one that is on its way already.
func (c *changes) one() error {
	if c.whole {
		return nil
	}
	one := c.domain
	if c.rng.IntN(10) > 0 {
		n := c.rng.IntN(len(c.wishes))
		for _, one = range c.wishes {
			if n--; n < 0 {
				break
			}
		}
	} else {
		c.whole = true
	}
	if one.asked >= 0 {
		return nil // its beginning is on its way
	}
	one.asked = one.got.pages
	return c.stream.Send(proto.CloneOf(one.query))
}

// take gives a book to what it is of. What came after a query was asked anew, and
// before that began, comes once more.
func (c *changes) take(book *angzarr.EventBook) {
	one := c.domain
	begins := len(book.Pages) == 0 && !book.CaughtUp
	switch {
	case len(book.Cover.GetRoot().GetValue()) > 0 && (!c.whole || c.domain.asked >= 0):
		one = c.wishes[log.Root(book.Cover.Root.Value)]
	case c.domain.asked >= 0 && !begins:
		c.Errorf("a book of the domain before its beginning: %v", book)
	}
	if begins {
		one.got.cut(one.asked)
		one.asked = -1
	}
	one.got.add(book)
	one.query.Position = book.Position
}

// cut forgets what is behind so many pages of one partition; of more than one only
// nothing may be forgotten.
func (s *seen) cut(pages int) {
	for p, got := range s.by {
		if len(got) > 0 && s.pages > pages {
			s.by[p] = got[:len(got)-(s.pages-pages)]
			s.pages = pages
		}
	}
}
