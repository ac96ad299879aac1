package business_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
)

// order is a command for a root.
func (w *world) order(root log.Root, id, said string) *angzarr.CommandBook {
	return &angzarr.CommandBook{
		Cover: w.cover(root), CommandId: id, CorrelationId: "for " + id,
		Pages: []*angzarr.CommandPage{{Command: text(said)}},
	}
}

func (w *world) cover(root log.Root) *angzarr.Cover {
	return &angzarr.Cover{Domain: w.domain.Name, Root: &angzarr.UUID{Value: root[:]}}
}

// root gives a new one, of that partition.
func (w *world) root(partition int32) log.Root {
	for {
		if r := log.Root(uuid.New()); partitioning.Of(r, w.domain.Partitions) == partition {
			return r
		}
	}
}

// recordOf is a command as anyone may write it to the commands topic.
func (w *world) recordOf(c *angzarr.CommandBook, headers ...kgo.RecordHeader) *kgo.Record {
	root := log.Root(c.Cover.Root.Value)
	return &kgo.Record{
		Key: root[:], Value: encoded(c), Headers: headers, Partition: partitioning.Of(root, w.domain.Partitions),
	}
}

func encoded(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}

// history is what the log says in the end.
type history struct {
	roots    map[log.Root][]log.Page
	commands map[string][]log.Page // by id, of the first root that has it
}

// audit reads all pages. Each root's must be 1, 2, 3, …, and each command's
// behind each other: it was applied once.
func (w *world) audit() history {
	w.t.Helper()
	h := history{make(map[log.Root][]log.Page), make(map[string][]log.Page)}
	for _, k := range logtest.ReadCommitted(w.t, w.Cluster, log.EventsTopic(w.domain.Name)) {
		r := log.FromClient(k)
		root, _, kind := log.ParseKey(r.Key)
		if kind != log.KeyPage {
			continue
		}
		p, err := log.DecodePage(&r)
		if err != nil {
			w.t.Error(err)
			continue
		}
		pages := h.roots[root]
		if int(p.Sequence) != len(pages)+1 {
			w.t.Errorf("root %s: page %d at offset %d of partition %d comes after %d pages", root, p.Sequence, p.Offset, r.Partition, len(pages))
		}
		if partitioning.Of(root, w.domain.Partitions) != r.Partition {
			w.t.Errorf("root %s: page %d lies in partition %d", root, p.Sequence, r.Partition)
		}
		h.roots[root] = append(pages, p)
		of := h.commands[p.Cause.CommandID]
		if len(of) > 0 && of[0].Root != root {
			continue
		}
		if len(of) > 0 && of[len(of)-1].Sequence != p.Sequence-1 {
			w.t.Errorf("command %s was applied twice: page %d of %s, and page %d", p.Cause.CommandID, of[len(of)-1].Sequence, root, p.Sequence)
		}
		h.commands[p.Cause.CommandID] = append(of, p)
	}
	return h
}

// says what the events of a root are.
func (h history) says(root log.Root) (all []string) {
	for _, p := range h.roots[root] {
		e := p.Proto()
		all = append(all, textOf(e.Event))
	}
	return all
}

// agree compares the log with what callers and producers of commands were told.
func (h history) agree(t testing.TB, id string, first, last uint32) {
	t.Helper()
	pages := h.commands[id]
	switch {
	case len(pages) == 0 && last != 0:
		t.Errorf("command %s was acknowledged with pages %d to %d, and the log has none", id, first, last)
	case len(pages) > 0 && (pages[0].Sequence != first || pages[len(pages)-1].Sequence != last):
		t.Errorf("command %s was acknowledged with pages %d to %d; the log has %d to %d",
			id, first, last, pages[0].Sequence, pages[len(pages)-1].Sequence)
	}
}

// watcher follows a topic from its start.
type watcher struct {
	t       testing.TB
	mu      sync.Mutex
	changed chan struct{}
	records []*kgo.Record
}

// watch follows a topic's committed records until the test ends.
func (w *world) watch(topic string) *watcher {
	w.t.Helper()
	x := &watcher{t: w.t, changed: make(chan struct{})}
	client := w.Client(w.t, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	go func() {
		for ctx.Err() == nil {
			fetched := client.PollFetches(ctx).Records()
			x.mu.Lock()
			x.records = append(x.records, fetched...)
			close(x.changed)
			x.changed = make(chan struct{})
			x.mu.Unlock()
		}
	}()
	return x
}

// await waits until as many records pass as are wanted, and gives them.
func (x *watcher) await(what string, n int, pass func(*kgo.Record) bool) (found []*kgo.Record) {
	x.t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	for {
		x.mu.Lock()
		records, changed := slices.Clone(x.records), x.changed
		x.mu.Unlock()
		found = found[:0]
		for _, r := range records {
			if pass(r) {
				found = append(found, r)
			}
		}
		if len(found) >= n {
			return found
		}
		select {
		case <-changed:
		case <-deadline.C:
			x.t.Fatalf("after %v: %d of %d: %s", bound, len(found), n, what)
		}
	}
}

// outcomes watches the domain's outcomes topic.
type outcomes struct{ *watcher }

func (w *world) outcomes() outcomes { return outcomes{w.watch(log.OutcomesTopic(w.domain.Name))} }

// of waits for a command's outcome.
func (o outcomes) of(id string) *angzarr.Outcome {
	o.t.Helper()
	found := o.await("outcomes of command "+id, 1, func(r *kgo.Record) bool { return outcomeOf(o.t, r).CommandId == id })
	if len(found) > 1 {
		o.t.Errorf("command %s has %d outcomes", id, len(found))
	}
	return outcomeOf(o.t, found[0])
}

func outcomeOf(t testing.TB, r *kgo.Record) *angzarr.Outcome {
	t.Helper()
	o := &angzarr.Outcome{}
	if err := proto.Unmarshal(r.Value, o); err != nil {
		t.Error(err)
	}
	return o
}

// deadLetters are those that the domain has, by source.
func (w *world) deadLetters() map[string]log.Record {
	w.t.Helper()
	found := make(map[string]log.Record)
	for _, k := range logtest.ReadCommitted(w.t, w.Cluster, log.DeadLettersTopic(w.domain.Name)) {
		found[string(k.Key)] = log.FromClient(k)
	}
	return found
}
