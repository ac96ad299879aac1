package snapshots

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/redis/go-redis/v9"
)

var (
	//go:embed look.lua
	lookSource string
	//go:embed find.lua
	findSource string
	//go:embed write.lua
	writeSource string
)

const (
	// opTimeout bounds one look or write: a Redis that takes longer counts as
	// away, and books come from the log.
	opTimeout = time.Second
	// lookBytes is about how much one look gives, so that Redis is not held up, and
	// answers for many partitions have room in memory.
	lookBytes = 1 << 20
	// lookRoots bounds a look's keys.
	lookRoots = 500
	// firstStubs is how much of a history a look reads: the last 128 commands
	// and what a few of them need, if each led to one page.
	firstStubs = 192
)

// waitingBytes bounds what waits to be written. While Redis is away longer than
// that lasts, the log keeps the rest.
const waitingBytes = 8 << 20

// errMoved says that the mark is not where the writer left it: Redis has lost
// something, or somebody else writes.
var errMoved = errors.New("the mark is another one")

// errRedis is wrapped by what goes wrong at Redis; the log has nothing to do with it.
var errRedis = errors.New("redis")

// errNoMark says that there is no shelf.
var errNoMark = errors.New("there is none yet, or Redis has lost it")

// Shelf is where a process keeps open books outside of its memory: Redis. It may
// lose all of them at any moment; that costs time, and never a page.
type Shelf struct {
	client  redis.UniversalClient
	write   *redis.Script
	log     *slog.Logger
	metrics *Metrics
	options Options

	room    int64        // for what waits, over all partitions of a process
	waiting atomic.Int64 // bytes that wait
	trouble atomic.Bool  // the last operation failed: books come from the log
	checked atomic.Bool  // Redis is what it must be

	long    chan struct{} // holds one for each long catch-up that goes on
	reading chan struct{} // holds one while a long rebuild reads the log
	rebuild bounds
	memory  *memory
	looks   looks // of owners
	finds   looks // of whoever asks for a root: owners don't wait for long rows of those
}

func newShelf(client redis.UniversalClient, o Options) *Shelf {
	return &Shelf{
		client: client, write: redis.NewScript(writeSource),
		looks: looks{script: redis.NewScript(lookSource), args: []any{firstStubs * stubSize, lookBytes}},
		finds: looks{script: redis.NewScript(findSource), args: []any{findBytes}},
		log:   o.Logger, metrics: o.Metrics, options: o, room: waitingBytes,
		long: make(chan struct{}, longOnes), reading: make(chan struct{}, 1), rebuild: usualBounds, memory: newMemory(),
	}
}

// Books keeps at most limit bytes of a domain's open books in memory, and all of
// them on the shelf.
func (s *Shelf) Books(limit int, domain log.Domain) *Books {
	b := NewBooks(limit)
	b.shelf, b.domain = s, domain
	return b
}

// Trouble says what is wrong with Redis just now, "" if nothing is.
func (s *Shelf) Trouble() string {
	if !s.trouble.Load() {
		return ""
	}
	return "snapshots.address: Redis at " + s.options.Address + " does not answer as it must: books that are not in memory are read from the log, which is slow"
}

// Close closes the connections.
func (s *Shelf) Close() { s.client.Close() }

// keys are those of one partition. They share a hash tag, so that they live on
// one node, and mark and books go back together after a failover.
type keys struct{ prefix string }

func keysOf(domain string, partition int32) keys {
	return keys{"angzarr:{" + domain + "/" + strconv.Itoa(int(partition)) + "}:"}
}

func (k keys) mark() string                 { return k.prefix + "mark" }
func (k keys) book(root log.Root) string    { return string(k.append(nil, bookKey, root)) }
func (k keys) history(root log.Root) string { return string(k.append(nil, historyKey, root)) }

// The kinds of keys that a root has.
const (
	bookKey    = 'b'
	historyKey = 'h'
)

func (k keys) append(b []byte, kind byte, root log.Root) []byte {
	return append(append(append(b, k.prefix...), kind, ':'), root[:]...)
}

func (k keys) of(roots []log.Root) []string {
	all := make([]string, 0, 1+2*len(roots))
	all = append(all, k.mark())
	for _, root := range roots {
		all = append(all, k.book(root), k.history(root))
	}
	return all
}

// stored is what Redis has of one root.
type stored struct {
	book          string
	historySize   int64
	historyID     string
	historyEnding string
}

// glance reads the mark and as many of the roots' books as fit into one look.
func (s *Shelf) glance(ctx context.Context, k keys, roots []log.Root) (mark string, found []stored, err error) {
	var raw []any
	err = s.try(ctx, func(ctx context.Context) (err error) {
		raw, err = s.ask(ctx, &s.looks, k.of(roots[:min(len(roots), lookRoots)]))
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("look at the shelf: %w", err)
	}
	if mark, err = text(raw[0]); err != nil {
		return "", nil, err
	}
	if evicted, err := text(raw[1]); err != nil || evicted != "0" {
		// A book that is missing may be one of these.
		return "", nil, errors.Join(err, fmt.Errorf("%w: "+hasEvicted, errRedis, evicted))
	}
	for at := 2; at+3 < len(raw); at += 4 {
		var one stored
		var errs [4]error
		one.book, errs[0] = text(raw[at])
		size, isNumber := raw[at+1].(int64)
		if !isNumber {
			errs[1] = fmt.Errorf("%w: it answers %T", errRedis, raw[at+1])
		}
		one.historySize = size
		one.historyID, errs[2] = text(raw[at+2])
		one.historyEnding, errs[3] = text(raw[at+3])
		if err := errors.Join(errs[:]...); err != nil {
			return "", nil, err
		}
		found = append(found, one)
	}
	return mark, found, nil
}

func text(answer any) (string, error) {
	s, ok := answer.(string)
	if !ok {
		return "", fmt.Errorf("%w: it answers %T", errRedis, answer)
	}
	return s, nil
}

// put writes a batch, if the mark still is the one that it begins at. It gives
// how many books had to be given up.
func (s *Shelf) put(ctx context.Context, k keys, was string, next mark, edits []*edit) (lost int, err error) {
	names, args := scriptArgs(k, was, next, next.shelf, edits)
	err = s.run(ctx, func(ctx context.Context) (err error) {
		lost, err = s.write.Run(ctx, s.client, names, args...).Int()
		return err
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("write to the shelf: %w", err)
	case lost < 0:
		return 0, errMoved
	}
	return lost, nil
}

// scriptArgs are the keys and arguments of write.lua.
func scriptArgs(k keys, was string, next mark, of shelfID, edits []*edit) (names []string, args []any) {
	roots := make([]log.Root, len(edits))
	args = make([]any, 0, 3+5*len(edits))
	args = append(args, was, next.encode(), of[:])
	for i, e := range edits {
		roots[i] = e.root
		args = append(args, e.args()...)
	}
	return k.of(roots), args
}

// rest reads more of a history's end.
func (s *Shelf) rest(ctx context.Context, k keys, root log.Root, size int64) (head, ending string, err error) {
	err = s.run(ctx, func(ctx context.Context) (err error) {
		if head, err = s.client.GetRange(ctx, k.history(root), 0, idSize-1).Result(); err == nil {
			ending, err = s.client.GetRange(ctx, k.history(root), -size, -1).Result()
		}
		return err
	})
	return head, ending, err
}

// run runs one operation, for as long as it may take.
func (s *Shelf) run(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return s.try(ctx, f)
}

// try runs one operation, which bounds its time itself, once it is known that Redis
// is what it must be.
func (s *Shelf) try(ctx context.Context, f func(context.Context) error) error {
	var err error
	if !s.checked.Load() {
		err = s.checkSoon(ctx)
	}
	if err == nil {
		err = f(ctx)
	}
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			s.trouble.Store(true)
			s.checked.Store(false) // it may be another Redis when it is back
		}
		return fmt.Errorf("%w: %w", errRedis, err)
	}
	s.trouble.Store(false)
	return nil
}

func (s *Shelf) checkSoon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	err := s.check(ctx)
	if err == nil {
		s.checked.Store(true)
	}
	return err
}
