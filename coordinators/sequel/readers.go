package sequel

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
)

// Reader is a projector or a saga that reads a domain's events.
type Reader struct {
	log.Service
	Group       string
	Synchronous bool
}

// Readers knows which projectors and sagas there are on the cluster, wherever they
// run: each has its group in the groups' topic.
type Readers struct {
	cluster log.Cluster
	admin   *log.Admin
	log     *slog.Logger
	at      map[int32]int64 // up to where the topic was read; owned by Run

	mu sync.Mutex
	of map[string][]Reader // by domain, in order
}

// NewReaders makes one that knows of nobody yet.
func NewReaders(cluster log.Cluster, admin *log.Admin, logger *slog.Logger) *Readers {
	return &Readers{cluster: cluster, admin: admin, log: logger, of: make(map[string][]Reader)}
}

// Read takes in all that there are now. It is called before Run.
func (r *Readers) Read(ctx context.Context) error {
	if err := r.admin.EnsureGroups(ctx); err != nil {
		return err
	}
	ends, err := r.admin.HighWatermarks(ctx, log.GroupsTopic)
	if err != nil {
		return err
	}
	spans := make(map[int32]log.Span, len(ends))
	for partition, end := range ends {
		spans[partition] = log.Span{To: end}
	}
	r.at = ends
	return r.cluster.Scan(ctx, log.GroupsTopic, spans, func(record *log.Record) error {
		r.take(record)
		return nil
	})
}

// again is how soon the topic is read anew after it could not be followed.
const again = time.Second

// Run follows those that come, until ctx ends.
func (r *Readers) Run(ctx context.Context) error {
	for {
		err := r.cluster.Tail(ctx, log.GroupsTopic, r.at, func(s log.Stretch) {
			for i := range s.Records {
				r.take(&s.Records[i])
			}
			r.at[s.Partition] = s.Next
		})
		for err != nil && ctx.Err() == nil {
			r.log.Warn("the projectors and sagas of other processes can't be followed; trying again", "topic", log.GroupsTopic, "error", err)
			calls.Wait(ctx, again)
			err = r.Read(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (r *Readers) take(record *log.Record) {
	enrolled, there := log.DecodeReader(record)
	service, ok := log.ServiceOf(enrolled.Group)
	if !ok {
		return
	}
	reader := Reader{service, enrolled.Group, enrolled.Synchronous}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Whoever was given the old list keeps it.
	kept := make([]Reader, 0, len(r.of[service.Domain])+1)
	for _, known := range r.of[service.Domain] {
		if known.Group != reader.Group {
			kept = append(kept, known)
		}
	}
	if there {
		kept = append(kept, reader)
	}
	slices.SortFunc(kept, func(a, b Reader) int { return cmp.Compare(a.Group, b.Group) })
	r.of[service.Domain] = kept
}

// Of are the readers of a domain: projectors first, each kind by name.
func (r *Readers) Of(domain string) []Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[domain]
}
