package sequel

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/query"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Pages knows where in the log pages are.
type Pages interface {
	// Locate gives a root's committed pages from first to last, as many as there
	// are, in order; or a status.
	Locate(ctx context.Context, domain string, root log.Root, first, last uint32) ([]query.Place, error)
}

// Domains knows the domains of the cluster.
type Domains interface {
	// Find gives a domain's number of partitions, or a status that names the
	// field and the domains there are.
	Find(ctx context.Context, field, domain string) (int32, *status.Status)
	// All gives the names of all domains.
	All(ctx context.Context) ([]string, error)
}

// Config is what a gatherer needs.
type Config struct {
	Cluster log.Cluster
	Admin   *log.Admin
	Readers *Readers
	Pages   Pages
	Domains Domains
	Logger  *slog.Logger

	Replies int32 // the partition of the replies topic that this process reads
	Sagas   int   // synchronous_depth
	Answer  int   // limits.answer, in bytes
	Waiting int   // limits.waiting
}

const (
	// patience is how long those who would tell are waited for before it is looked
	// whether they can't, and how often that is done at least.
	patience = time.Second
	// soon is how soon it is looked again for what nobody tells of. It doubles up
	// to patience while nothing new is found.
	soon = 10 * time.Millisecond
	// longest is how long anybody waits.
	longest = 10 * time.Minute
)

// Gatherer gathers what pages have led to, for who waits.
type Gatherer struct {
	c        Config
	patience time.Duration
	looking  chan struct{} // as many may look at the same time

	mu   sync.Mutex
	by   map[string]*Gathering
	lost map[string]time.Time // groups that were found to be no more, and when
}

// mostLooking bounds how many look into the log at the same time.
const mostLooking = 4

// New makes one.
func New(c Config) *Gatherer {
	return &Gatherer{c: c, patience: patience, looking: make(chan struct{}, mostLooking), by: make(map[string]*Gathering), lost: make(map[string]time.Time)}
}

// goneFor is how long nobody waits for a group that was found to be no more.
const goneFor = 10 * time.Second

func (g *Gatherer) lose(group string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost[group] = time.Now()
}

// readers are those of a domain that may be waited for.
func (g *Gatherer) readers(domain string) []Reader {
	all := g.c.Readers.Of(domain)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lost) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Reader) bool { return time.Since(g.lost[r.Group]) < goneFor })
}

// Gathering is one who waits. It gathers what it is told from Begin to End.
type Gathering struct {
	g     *Gatherer
	tag   string
	until time.Time

	mu    sync.Mutex
	came  []log.Record
	bytes int
	news  chan struct{} // there is something in came
}

// Begin is called before the command is given, so that nothing is missed; End must
// follow.
func (g *Gatherer) Begin(ctx context.Context) (*Gathering, *status.Status) {
	x := &Gathering{g: g, tag: uuid.NewString(), until: time.Now().Add(longest), news: make(chan struct{}, 1)}
	if at, bounded := ctx.Deadline(); bounded && at.Before(x.until) {
		x.until = at
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.by) >= g.c.Waiting {
		return nil, status.Newf(codes.ResourceExhausted,
			"%d calls wait in this process for projectors and sagas, which is all that limits.waiting allows", len(g.by))
	}
	g.by[x.tag] = x
	return x, nil
}

// End ends what Begin began.
func (x *Gathering) End() {
	x.g.mu.Lock()
	defer x.g.mu.Unlock()
	delete(x.g.by, x.tag)
}

// AnswerTo goes with the command.
func (x *Gathering) AnswerTo() string {
	return log.AnswerTo{Partition: x.g.c.Replies, Tag: x.tag, Sagas: uint32(x.g.c.Sagas), Until: x.until}.String()
}

// mostCame bounds the bytes that wait for who is busy: the rest is found in the log.
const mostCame = 8 << 20

// Take hands over a record of the replies topic, if somebody waits for it here. It
// never blocks.
func (g *Gatherer) Take(r *log.Record) {
	g.mu.Lock()
	x := g.by[string(r.Header(log.HeaderReplyTag))]
	g.mu.Unlock()
	if x == nil {
		return
	}
	x.mu.Lock()
	if x.bytes += len(r.Value); x.bytes > mostCame {
		x.bytes -= len(r.Value)
	} else {
		x.came = append(x.came, *r)
	}
	x.mu.Unlock()
	select {
	case x.news <- struct{}{}:
	default:
	}
}

// hear takes in what has come.
func (x *Gathering) hear(f *facts) {
	x.mu.Lock()
	came := x.came
	x.came, x.bytes = nil, 0
	x.mu.Unlock()
	for i := range came {
		r := &came[i]
		if string(r.Header(log.HeaderKind)) == log.KindReaction {
			if told := new(angzarr.Reaction); proto.Unmarshal(r.Value, told) == nil {
				f.reacted(told)
			}
			continue
		}
		if told := new(angzarr.Outcome); proto.Unmarshal(r.Value, told) == nil {
			f.decided(told)
		}
	}
}

// gather gathers until nothing is waited for any more, or ctx ends. It looks for
// itself after first, and then from time to time.
func (x *Gathering) gather(ctx context.Context, of stretch, room int, first time.Duration) (sequel, error) {
	ctx, cancel := context.WithDeadline(ctx, x.until)
	defer cancel()
	f, l := newFacts(room), newLooker(x.g, of)
	var looked chan findings // nil while it doesn't look
	defer func() {
		if cancel(); looked != nil {
			<-looked
		}
	}()
	readers := x.g.readers
	if of.only != "" {
		readers = x.g.c.Readers.Of
	}
	pause := max(soon, first)
	look := time.NewTimer(first)
	defer look.Stop()
	for {
		s := f.sequelOf(of, readers)
		if len(s.wants) == 0 {
			return s, nil
		}
		select {
		case <-x.news:
			x.hear(f)
		case <-look.C:
			looked = make(chan findings, 1)
			go func(found chan<- findings) { found <- l.look(ctx, s.wants) }(looked)
		case found := <-looked:
			looked = nil
			if pause = min(2*pause, x.g.patience); found.any() && first == 0 {
				pause = soon
			}
			found.tell(f)
			look.Reset(pause)
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}
