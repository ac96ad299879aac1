package query

import (
	"maps"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// metadataDomain narrows GetAggregateRoots to one domain.
const metadataDomain = "angzarr-domain"

// GetAggregateRoots streams each root that had a page when its domain's turn
// came, once: a root's first page is in the log once. What is written meanwhile
// is left out, and so are roots that were erased.
func (s *Service) GetAggregateRoots(_ *emptypb.Empty, stream grpc.ServerStreamingServer[angzarr.AggregateRoot]) error {
	ctx := stream.Context()
	in, _ := metadata.FromIncomingContext(ctx)
	domains := in.Get(metadataDomain)
	if len(domains) > 1 {
		return status.Errorf(codes.InvalidArgument, "metadata %s: name one domain, or none for all", metadataDomain)
	}
	if len(domains) == 0 {
		all, err := s.domains.All(ctx)
		if err != nil {
			return statusOf(ctx, err)
		}
		domains = all
	} else if _, st := s.domains.Find(ctx, "metadata "+metadataDomain, domains[0]); st != nil {
		return st.Err()
	}
	for _, domain := range domains {
		if err := s.roots(stream, domain); err != nil {
			return statusOf(ctx, err)
		}
	}
	return nil
}

func (s *Service) roots(stream grpc.ServerStreamingServer[angzarr.AggregateRoot], domain string) error {
	topic := log.EventsTopic(domain)
	generation, err := s.admin.Generation(stream.Context(), topic)
	if err != nil {
		return err
	}
	ends, err := s.admin.HighWatermarks(stream.Context(), topic)
	if err != nil {
		return err
	}
	// One after another: so little is in memory, however many there are.
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		l := &listing{service: s, stream: stream, domain: domain, at: stretch{topic, generation, partition}, end: ends[partition]}
		if err := l.run(); err != nil {
			return err
		}
	}
	return nil
}

// mostRoots is how many roots of a partition wait for the word that they were not
// erased later. Where there are more, the log is read for that word first.
const mostRoots = 1 << 17

// listing sends the roots of a partition.
type listing struct {
	service *Service
	stream  grpc.ServerStreamingServer[angzarr.AggregateRoot]
	domain  string
	at      stretch
	end     int64

	erased  map[log.Root]bool
	waiting []log.Root
	whole   bool // erased is known up to the end
}

func (l *listing) run() error {
	ctx := l.stream.Context()
	known, upto := l.service.erased.known(l.at, l.end)
	l.erased = make(map[log.Root]bool, len(known))
	maps.Copy(l.erased, known)
	if l.end-upto < slowScan {
		if err := l.learn(); err != nil {
			return err
		}
	}
	firsts := func(key []byte) bool {
		_, sequence, kind := log.ParseKey(key)
		return kind == log.KeyPage && sequence == 1 || kind == log.KeyErased
	}
	if err := l.service.through(ctx, l.at, log.Span{To: l.end}, firsts, l.take); err != nil {
		return err
	}
	if !l.whole {
		l.service.erased.learn(l.at, l.end, l.erased)
	}
	return l.flush()
}

// learn finds out which roots are erased, as far as that is not known.
func (l *listing) learn() (err error) {
	l.whole = true
	l.erased, err = l.service.erasedBefore(l.stream.Context(), l.at, l.end)
	return err
}

func (l *listing) take(r *log.Record) error {
	root, _, kind := log.ParseKey(r.Key)
	switch {
	case r.Value == nil:
		return nil
	case kind == log.KeyErased:
		if !l.whole {
			l.erased[root] = true
		}
		return nil
	}
	if l.waiting = append(l.waiting, root); l.whole {
		return l.flush()
	}
	if len(l.waiting) < mostRoots {
		return nil
	}
	l.service.erased.learn(l.at, r.Offset, maps.Clone(l.erased))
	if err := l.learn(); err != nil {
		return err
	}
	return l.flush()
}

// flush sends the roots that wait, but for those that were erased.
func (l *listing) flush() error {
	for _, root := range l.waiting {
		if l.erased[root] {
			continue
		}
		if err := l.stream.Send(&angzarr.AggregateRoot{Domain: l.domain, Root: &angzarr.UUID{Value: root[:]}}); err != nil {
			return err
		}
	}
	l.waiting = l.waiting[:0]
	return nil
}
