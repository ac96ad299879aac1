// Package deadletter deals with what could not be done.
//
//	<domain>.dead-letters ──► List, Get
//	        │
//	        ├── Replay ──► <domain>.commands ──► worker: done with it, or the same
//	        │        │                           letter again, with its outcome
//	        │        └───► the letter, which says so ──► the projector's or saga's
//	        │                                    worker: the same
//	        └── Drop ──► a tombstone that says why
//
// Invariants:
//   - A letter stands until the transaction that records the outcome of its
//     replay: whatever dies before leaves it there, and a second replay of what
//     was applied is a repeat.
//   - What fails again is the same letter, under the same key, with one attempt
//     more: not another one.
package deadletter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Domains knows the domains of the cluster.
type Domains interface {
	// Find gives a domain's number of partitions, or a status that names the
	// request's field and the domains there are.
	Find(ctx context.Context, field, domain string) (int32, *status.Status)
	// All gives the names of all domains, in order.
	All(ctx context.Context) ([]string, error)
}

// Poster writes a command's record, to which it may add headers, calls written when
// that is done or has failed, and returns what became of the command, nil if that
// takes long. After an error it may be handled yet.
type Poster interface {
	Post(ctx context.Context, r *log.Record, written func()) (*angzarr.Outcome, error)
}

// Config is what the service needs.
type Config struct {
	Cluster log.Cluster
	Admin   *log.Admin
	Writer  *log.Writer
	Domains Domains
	Poster  Poster
	Logger  *slog.Logger
}

// Service is DeadLetters.
type Service struct {
	angzarr.UnimplementedDeadLettersServer
	c Config
}

// New makes the service.
func New(c Config) *Service { return &Service{c: c} }

// read gives the letters of a domain that keep wants, in the order of their
// records.
func (s *Service) read(ctx context.Context, domain string, keep func(*log.DeadLetter) bool) ([]*log.DeadLetter, *status.Status) {
	ends, err := s.c.Admin.HighWatermarks(ctx, log.DeadLettersTopic(domain))
	var found log.Letters
	if err == nil {
		found, err = s.c.Cluster.ReadLetters(ctx, domain, ends, keep)
	}
	switch {
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err())
	case errors.Is(err, log.ErrNoTopic):
		return nil, status.Newf(codes.NotFound, "domain %s has no topic of dead letters", domain)
	case err != nil:
		return nil, status.Newf(codes.Unavailable, "the dead letters of %s can't be read: %v", domain, err)
	}
	return inOrder(found), nil
}

// List gives the letters that are selected, the oldest first, domain by domain.
func (s *Service) List(r *angzarr.ListDeadLettersRequest, stream grpc.ServerStreamingServer[angzarr.DeadLetter]) error {
	sel, st := selectionOf(r.Selection)
	if st != nil {
		return st.Err()
	}
	domains := []string{sel.domain}
	if sel.domain == "" {
		all, err := s.c.Domains.All(stream.Context())
		if err != nil {
			return status.Errorf(codes.Unavailable, "the cluster's domains can't be listed: %v", err)
		}
		domains = all
	} else if _, st := s.c.Domains.Find(stream.Context(), "selection.domain", sel.domain); st != nil {
		return st.Err()
	}
	for _, domain := range domains {
		letters, st := s.read(stream.Context(), domain, func(l *log.DeadLetter) bool {
			l.Key, l.Value, l.Headers = nil, nil, nil
			return sel.takes(l) && (l.Dropped != "") == r.Dropped
		})
		if st.Code() == codes.NotFound && sel.domain == "" {
			continue // it is being made, or deleted
		}
		if st != nil {
			return st.Err()
		}
		for _, l := range byTime(letters) {
			if err := stream.Send(protoOf(domain, l)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Get gives one letter with all that its record holds.
func (s *Service) Get(ctx context.Context, r *angzarr.GetDeadLetterRequest) (*angzarr.DeadLetter, error) {
	l, st := s.one(ctx, r.Domain, r.Id)
	if st != nil {
		return nil, st.Err()
	}
	letter := protoOf(r.Domain, l)
	letter.Record = recordOf(l)
	return letter, nil
}

// one looks for a letter that stands.
func (s *Service) one(ctx context.Context, domain, text string) (*log.DeadLetter, *status.Status) {
	if domain == "" {
		return nil, status.New(codes.InvalidArgument, "domain: is missing")
	}
	id, err := log.ParseLetterID(text)
	if err != nil {
		return nil, status.Newf(codes.InvalidArgument, "id: %v", err)
	}
	if _, st := s.c.Domains.Find(ctx, "domain", domain); st != nil {
		return nil, st
	}
	found, st := s.read(ctx, domain, func(l *log.DeadLetter) bool { return l.ID == id && l.Dropped == "" })
	if st == nil && len(found) == 0 {
		st = status.Newf(codes.NotFound, "id: domain %s has no dead letter %s", domain, id)
	}
	if st != nil {
		return nil, st
	}
	return found[0], nil
}

// mostReason bounds why a letter was dropped, in bytes.
const mostReason = 1 << 10

// Drop gives a letter up.
func (s *Service) Drop(ctx context.Context, r *angzarr.DropDeadLetterRequest) (*angzarr.DropDeadLetterResponse, error) {
	switch {
	case r.Reason == "":
		return nil, status.Error(codes.InvalidArgument, "reason: is missing; it is kept, so that others know")
	case len(r.Reason) > mostReason:
		return nil, status.Errorf(codes.InvalidArgument, "reason: has %d bytes, more than %d", len(r.Reason), mostReason)
	}
	l, st := s.one(ctx, r.Domain, r.Id)
	if st != nil {
		return nil, st.Err()
	}
	record := l.Drop(r.Domain, r.Reason, time.Now())
	if err := s.c.Writer.Write(ctx, &record); err != nil {
		return nil, status.Errorf(codes.Unavailable, "it may not be dropped; to do it again is safe: %v", err)
	}
	s.c.Logger.Info("a dead letter was dropped", "domain", r.Domain, "letter", l.ID, "root", l.Root,
		"command", l.CommandID, "cause", l.Cause, "reason", r.Reason)
	return &angzarr.DropDeadLetterResponse{Letter: protoOf(r.Domain, l)}, nil
}
