package deadletter

import (
	"cmp"
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// selection says which letters are asked for.
type selection struct {
	domain   string
	root     *log.Root
	cause    string
	from, to time.Time
	ids      map[log.LetterID]bool // all if nil
}

// selectionOf reads what was asked, and says what is wrong with it.
func selectionOf(asked *angzarr.DeadLetterSelection) (s selection, st *status.Status) {
	invalid := func(field, why string) (selection, *status.Status) {
		return s, status.Newf(codes.InvalidArgument, "selection.%s: %s", field, why)
	}
	s.domain = asked.GetDomain()
	if asked.GetRoot() != nil {
		root, err := log.RootOf(asked.Root.Value)
		if err != nil {
			return invalid("root", err.Error())
		}
		s.root = &root
	}
	if s.cause = asked.GetCause(); s.cause != "" {
		known, ok := causeOf(s.cause)
		if !ok {
			return invalid("cause", `"`+s.cause+`" is no gRPC status code, such as INTERNAL`)
		}
		s.cause = known
	}
	for _, bound := range []struct {
		field string
		given *timestamppb.Timestamp
		to    *time.Time
	}{{"from", asked.GetFrom(), &s.from}, {"to", asked.GetTo(), &s.to}} {
		if bound.given == nil {
			continue
		}
		if !bound.given.IsValid() {
			return invalid(bound.field, "is no valid time")
		}
		*bound.to = bound.given.AsTime()
	}
	for _, text := range asked.GetIds() {
		id, err := log.ParseLetterID(text)
		if err != nil {
			return invalid("ids", err.Error())
		}
		if s.ids == nil {
			s.ids = make(map[log.LetterID]bool)
		}
		s.ids[id] = true
	}
	return s, nil
}

// causeOf takes a code's name as the contract spells it, or as it is kept.
func causeOf(name string) (string, bool) {
	if n, ok := code.Code_value[name]; ok {
		return codes.Code(n).String(), true
	}
	for n := range codes.Code(17) {
		if n.String() == name {
			return name, true
		}
	}
	return "", false
}

// spelled is a code's name as the contract spells it.
func spelled(kept string) string {
	for n := range codes.Code(17) {
		if n.String() == kept {
			return code.Code(n).String()
		}
	}
	return kept
}

func (s *selection) takes(l *log.DeadLetter) bool {
	return (s.root == nil || l.Of(*s.root)) &&
		(s.cause == "" || l.Cause == s.cause) &&
		(s.from.IsZero() || !l.Time.Before(s.from)) &&
		(s.to.IsZero() || l.Time.Before(s.to)) &&
		(s.ids == nil || s.ids[l.ID])
}

// inOrder gives letters in the order of their records, by partition, which is a
// root's own order.
func inOrder(letters log.Letters) []*log.DeadLetter {
	all := make([]*log.DeadLetter, 0, len(letters))
	for _, l := range letters {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *log.DeadLetter) int {
		x, y := a.ID.Source, b.ID.Source
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset),
			cmp.Compare(a.ID.Reader, b.ID.Reader))
	})
	return all
}

// byTime has the oldest first.
func byTime(letters []*log.DeadLetter) []*log.DeadLetter {
	slices.SortStableFunc(letters, func(a, b *log.DeadLetter) int { return a.Time.Compare(b.Time) })
	return letters
}

// protoOf is a letter without what its record holds.
func protoOf(domain string, l *log.DeadLetter) *angzarr.DeadLetter {
	p := &angzarr.DeadLetter{
		Domain: domain, Id: l.ID.String(), Reader: l.ID.Reader, NextPage: l.NextPage,
		Cause: spelled(l.Cause), Message: l.Message, Attempts: uint32(max(0, l.Attempts)), Time: timestamppb.New(l.Time),
		CommandId: l.CommandID, Size: uint64(l.Size), Cut: l.Cut && l.Dropped == "", Dropped: l.Dropped,
	}
	if l.Rooted {
		p.Root = &angzarr.UUID{Value: l.Root[:]}
	}
	return p
}

func recordOf(l *log.DeadLetter) *angzarr.DeadLetter_Record {
	r := &angzarr.DeadLetter_Record{Key: l.Key, Value: l.Value}
	for _, h := range l.Headers {
		r.Headers = append(r.Headers, &angzarr.DeadLetter_Header{Key: h.Key, Value: h.Value})
	}
	return r
}
