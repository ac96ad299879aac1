package sequel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// looker finds out from the groups' offsets and the log what nobody has told. One
// look is under way at a time.
type looker struct {
	g     *Gatherer
	root  stretch
	since time.Time // nothing that matters is older; zero if that is not known yet

	places   map[pagesKey]place
	outcomes map[string]*tracing // of commands
	turn     int
}

// place is where in the log a stretch is.
type place struct {
	partition int32
	offsets   []int64 // of its pages, in order
}

func (p place) end() int64 { return p.offsets[len(p.offsets)-1] }

// apart is by how much the clocks of those who write to the log may differ.
const apart = time.Minute

func newLooker(g *Gatherer, root stretch) *looker {
	return &looker{g: g, root: root, places: make(map[pagesKey]place), outcomes: make(map[string]*tracing)}
}

// findings are what a look has found.
type findings struct {
	reactions []*angzarr.Reaction
	outcomes  []*angzarr.Outcome
	gone      []string
	erased    []aggregate
}

func (f *findings) any() bool {
	return len(f.reactions)+len(f.outcomes)+len(f.gone)+len(f.erased) > 0
}

func (f *findings) tell(to *facts) {
	for _, r := range f.reactions {
		to.reacted(r)
	}
	for _, o := range f.outcomes {
		to.decided(o)
	}
	for _, group := range f.gone {
		to.gone[group] = true
	}
	for _, of := range f.erased {
		to.erased[of] = true
	}
}

var (
	// errNotYet says that the log can't be read yet to where something stands.
	errNotYet = errors.New("it is not in the log yet")
	errErased = errors.New("the aggregate was erased")
)

// mostWants bounds what one look looks for.
const mostWants = 200

// look looks for what is waited for. What it can't find out it leaves for the next
// one.
func (l *looker) look(ctx context.Context, wants []want) (found findings) {
	select {
	case l.g.looking <- struct{}{}:
		defer func() { <-l.g.looking }()
	case <-ctx.Done():
		return found
	}
	if len(wants) > mostWants { // each has its turn
		first := l.turn % len(wants)
		l.turn += mostWants
		wants = append(append([]want(nil), wants[first:]...), wants[:first]...)[:mostWants]
	}
	finished := make(map[string]partitioning.Finished) // by group
	for i := range wants {
		w := &wants[i]
		var err error
		if w.command == "" {
			err = l.pages(ctx, w, finished, &found)
		} else {
			err = l.command(ctx, w, &found)
		}
		switch {
		case ctx.Err() != nil:
			return found
		case errors.Is(err, errErased):
			found.erased = append(found.erased, w.aggregate)
		case err != nil && !errors.Is(err, errNotYet):
			l.g.c.Logger.Warn("it could not be found out what pages have led to; trying again",
				"domain", w.domain, "root", w.root, "command", w.command, "error", err)
			return found
		}
	}
	return found
}

// pages finds out whether a service has done with pages, and what it has made of
// them: that was committed together with its offset.
func (l *looker) pages(ctx context.Context, w *want, finished map[string]partitioning.Finished, found *findings) error {
	at, err := l.place(ctx, w.stretch)
	if err != nil {
		return err
	}
	by, asked := finished[w.reader.Group]
	if !asked {
		if by, err = partitioning.FinishedBy(ctx, l.g.c.Admin.Client(), w.reader.Group, log.EventsTopic(w.domain)); err != nil {
			return err
		}
		finished[w.reader.Group] = by
	}
	switch done, known := by.Has(at.partition, at.end()); {
	case !known:
		l.g.lose(w.reader.Group)
		found.gone = append(found.gone, w.reader.Group)
		return nil
	case !done:
		return nil
	}
	reactions, err := l.reactions(ctx, w, at)
	found.reactions = append(found.reactions, reactions...)
	return err
}

// place finds pages in the log.
func (l *looker) place(ctx context.Context, of stretch) (place, error) {
	key := keyOf(of)
	if known, ok := l.places[key]; ok {
		return known, nil
	}
	partitions, st := l.g.c.Domains.Find(ctx, "cover.domain", of.domain)
	if st != nil {
		return place{}, st.Err()
	}
	at := place{partition: partitioning.Of(of.root, partitions)}
	from, err := l.from(ctx, of, at.partition)
	if err != nil {
		return at, err
	}
	pages, err := l.read(ctx, of, at.partition, from)
	if err != nil {
		return at, err
	}
	for i := range pages {
		at.offsets = append(at.offsets, pages[i].offset)
	}
	if key == keyOf(l.root) {
		l.since = pages[0].written.Add(-apart)
	}
	l.places[key] = at
	return at, nil
}

// from is where pages are, or a place before.
func (l *looker) from(ctx context.Context, of stretch, partition int32) (int64, error) {
	switch {
	case of.at >= 0:
		return of.at, nil
	case keyOf(of) != keyOf(l.root):
		return l.offsetAt(ctx, log.EventsTopic(of.domain), partition)
	}
	places, err := l.g.c.Pages.Locate(ctx, of.domain, of.root, of.first, of.last)
	switch {
	case status.Code(err) == codes.FailedPrecondition:
		return 0, errErased
	case err != nil:
		return 0, err
	case len(places) == 0:
		return 0, errNotYet
	}
	return places[0].Offset, nil
}

// offsetAt is from where on a partition holds what can matter.
func (l *looker) offsetAt(ctx context.Context, topic string, partition int32) (int64, error) {
	at, err := l.offsetsAt(ctx, topic)
	if err != nil {
		return 0, err
	}
	offset, ok := at[partition]
	if !ok {
		return 0, fmt.Errorf("%s has no partition %d", topic, partition)
	}
	return offset, nil
}

func (l *looker) offsetsAt(ctx context.Context, topic string) (map[int32]int64, error) {
	if l.since.IsZero() {
		if _, err := l.place(ctx, l.root); err != nil {
			return nil, err
		}
	}
	return l.g.c.Admin.OffsetsAt(ctx, topic, l.since)
}

// page is one that was found.
type page struct {
	log.Page
	offset  int64
	written time.Time
}

// fetched is how much of the log is read at a time.
const fetched = 256 << 10

// read reads the pages of a stretch, all of them, from an offset on.
func (l *looker) read(ctx context.Context, of stretch, partition int32, from int64) (pages []page, err error) {
	err = l.each(ctx, log.EventsTopic(of.domain), partition, from, func(r *log.Record) (bool, error) {
		root, sequence, kind := log.ParseKey(r.Key)
		switch {
		case root != of.root || kind == log.KeySnapshot:
			return false, nil
		case kind == log.KeyErased, r.Value == nil:
			return false, errErased
		case sequence < of.first || sequence > of.last:
			return false, nil
		}
		p, err := log.DecodePage(r)
		if err != nil {
			return false, err
		}
		pages = append(pages, page{p, r.Offset, r.Time})
		return sequence == of.last, nil
	})
	if err == nil && len(pages) != int(of.last-of.first)+1 {
		err = fmt.Errorf("pages %d to %d of %s/%s: %d are there", of.first, of.last, of.domain, of.root, len(pages))
	}
	return pages, err
}

// each calls fn with committed records from an offset on, until it has found what it
// looks for. If that is not there yet, it fails with errNotYet.
func (l *looker) each(ctx context.Context, topic string, partition int32, from int64, fn func(*log.Record) (found bool, err error)) error {
	for {
		s, err := l.g.c.Admin.Fetch(ctx, topic, log.Generation{}, partition, from, fetched, nil)
		switch {
		case err != nil:
			return err
		case s.Next == from:
			return errNotYet
		}
		for i := range s.Records {
			if found, err := fn(&s.Records[i]); found || err != nil {
				return err
			}
		}
		from = s.Next
	}
}
