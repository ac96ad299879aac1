package query

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// erasedStatus is what the owner of an erased aggregate says, too.
func erasedStatus(domain string, root log.Root) error {
	st, err := status.New(codes.FailedPrecondition, fmt.Sprintf("%s/%s was erased, for good", domain, root)).
		WithDetails(protoadapt.MessageV1Of(&errdetails.ErrorInfo{Domain: "angzarr", Reason: "ERASED"}))
	if err != nil {
		panic("query: " + err.Error())
	}
	return st.Err()
}

// mostKept is how many bytes of pages wait for the end of the log. What is behind
// them is read once more.
const mostKept = 1 << 20

// kept are pages that are not answered before it is known that they were not erased.
type kept struct {
	items []item
	size  int
	rest  log.Span // where those are that there was no room for
}

// keep reads a stretch of the root's partition to its end. It fails if the root
// was erased there.
func (s *Service) keep(ctx context.Context, of aggregate, b bounds, span log.Span) (kept, error) {
	k := kept{rest: log.Span{From: span.To, To: span.To}}
	err := s.scan(ctx, of, span, func(r *log.Record) error {
		it, ok := itemOf(r, func(root log.Root) bool { return root == of.root })
		switch {
		case !ok:
			return nil
		case it.erased != nil:
			return erasedStatus(of.domain, of.root)
		case it.sequence < b.first, b.last > 0 && it.sequence > b.last, k.rest.From < span.To:
			return nil
		}
		if k.size += overhead + it.size; k.size > mostKept {
			k.rest.From = r.Offset
			return nil
		}
		k.items = append(k.items, it)
		return nil
	})
	return k, err
}

// give hands over what was kept, and what there was no room for.
func (s *Service) give(ctx context.Context, of aggregate, k kept, to send) error {
	for _, it := range k.items {
		if err := to(it); err != nil {
			return err
		}
	}
	return s.scan(ctx, of, k.rest, func(r *log.Record) error { return page(of.root, r, to) })
}

// erasures are the roots that were erased, partition by partition, as far as each
// was read. There are few of them.
type erasures struct {
	mu   sync.Mutex
	read map[stretch]map[log.Root]bool // not changed any more
	upto map[stretch]int64
}

// known gives the roots of a partition of which it is known that they were erased,
// and before which offset.
func (e *erasures) known(at stretch, end int64) (map[log.Root]bool, int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.upto[at] > end { // brokers without ids, and a topic that was made anew
		return nil, 0
	}
	return e.read[at], e.upto[at]
}

// learn remembers them.
func (e *erasures) learn(at stretch, upto int64, erased map[log.Root]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.upto == nil {
		e.upto, e.read = make(map[stretch]int64), make(map[stretch]map[log.Root]bool)
	}
	e.upto[at], e.read[at] = upto, erased
}

// erasedBefore gives the roots of a partition that were erased before an offset.
func (s *Service) erasedBefore(ctx context.Context, at stretch, end int64) (map[log.Root]bool, error) {
	known, from := s.erased.known(at, end)
	erased := make(map[log.Root]bool, len(known))
	maps.Copy(erased, known)
	isErasure := func(key []byte) bool {
		_, _, kind := log.ParseKey(key)
		return kind == log.KeyErased
	}
	err := s.through(ctx, at, log.Span{From: from, To: end}, isErasure, func(r *log.Record) error {
		if root, _, _ := log.ParseKey(r.Key); r.Value != nil {
			erased[root] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.erased.learn(at, end, erased)
	return erased, nil
}
