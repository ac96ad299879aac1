package sequel_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// lamp is what an order of a lamp leads to.
const lamp = "orders 1: order lamp; stock 1: reserve lamp; summary of orders 1: order lamp; summary of stock 1: reserve lamp"

// A synchronous command is answered with all that it led to, whichever way it went,
// and nothing was called for that but in the order of the log.
func TestAllThatItLedTo(t *testing.T) {
	w := newWorld(t)
	w.all()
	for way, workers := range map[string]map[string]*business.Worker{"owner here": w.workers, "topic": nil} {
		d := w.door(workers, 3)
		for _, tc := range []struct{ name, says, want string }{
			{"a projector and a saga", "order lamp", lamp},
			{"a rejection", "order nothing", "orders 1: order nothing; orders 2: cancelled: short of it; " +
				"summary of orders 2: cancelled: short of it; FailedPrecondition to stock: short of it"},
			{"no saga", "look at a lamp", "orders 1: look at a lamp; summary of orders 1: look at a lamp"},
			{"no events", "quietly", ""},
		} {
			t.Run(way+", "+tc.name, func(t *testing.T) {
				root := uuid.New()
				answer, err := d.Handle(w.within(), w.command(root, "", tc.says, true))
				if err != nil {
					t.Fatal(err)
				}
				if got := w.shown(answer); got != tc.want {
					t.Errorf("answered %s\nwant     %s", got, tc.want)
				}
				for _, b := range answer.Books {
					if b.Position != nil {
						t.Error("what is between processes is in the answer")
					}
				}
				again := w.command(root, answer.Books[0].CommandId, tc.says, true)
				if answer, err = d.Handle(w.within(), again); err != nil || w.shown(answer) != tc.want {
					t.Errorf("the same again is answered %s, %v", w.shown(answer), err)
				}
			})
		}
		t.Run(way+", not asked for", func(t *testing.T) {
			answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order lamp", false))
			if got := w.shown(answer); err != nil || got != "orders 1: order lamp" {
				t.Errorf("answered %s, %v", got, err)
			}
		})
		t.Run(way+", recorded", func(t *testing.T) {
			root := uuid.New()
			book := say("order lamp")
			book.Cover, book.Pages[0].Synchronous = w.command(root, "", "", true).Cover, true
			answer, err := d.Record(w.within(), book)
			if got := w.shown(answer); err != nil || got != lamp {
				t.Errorf("answered %s, %v", got, err)
			}
		})
		t.Run(way+", business logic asks for it", func(t *testing.T) {
			answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order by its own", false))
			if got, want := w.shown(answer), strings.ReplaceAll(lamp, "lamp", "by its own"); err != nil || got != want {
				t.Errorf("answered %s, %v", got, err)
			}
		})
	}
	// The same was said to several roots: as often as it is in the log.
	for _, c := range []*calls{w.projected, w.reacted} {
		reactortest.Eventually(t, "each event was called once", func() bool {
			c.mu.Lock()
			of := maps.Clone(c.of)
			c.mu.Unlock()
			for what, n := range of {
				domain, said, _ := strings.Cut(what, " ")
				if inLog(t, w, domain, said) != n {
					return false
				}
			}
			return true
		})
	}
}

func inLog(t *testing.T, w *world, domain, said string) (n int) {
	t.Helper()
	for _, k := range logtest.ReadCommitted(t, w.Cluster, log.EventsTopic(domain)) {
		r := log.FromClient(k)
		if p, err := log.DecodePage(&r); err == nil && reactortest.TextOf(p.Proto().Event) == said {
			n++
		}
	}
	return n
}

// What waits before a command's pages is done before them, and nothing twice.
func TestTheBacklogIsNotOvertaken(t *testing.T) {
	w := newWorld(t)
	w.all()
	d := w.door(w.workers, 3)
	root := uuid.New()
	release := w.projected.holds(t, "first")
	for _, says := range []string{"first", "second"} {
		if _, err := d.Handle(w.within(), w.command(root, "", says, false)); err != nil {
			t.Fatal(err)
		}
	}
	reactortest.Eventually(t, "the first is being called", func() bool { return w.projected.seen("first") })
	answered := make(chan string, 1)
	go func() {
		answer, err := d.Handle(w.within(), w.command(root, "", "third", true))
		answered <- w.shown(answer) + map[bool]string{true: "", false: "an error"}[err == nil]
	}()
	reactortest.Eventually(t, "the third is committed", func() bool { return inLog(t, w, w.orders.Name, "third") == 1 })
	// Somebody else's is done meanwhile.
	if answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order lamp", true)); err != nil || w.shown(answer) != lamp {
		t.Errorf("another root's was answered %s, %v", w.shown(answer), err)
	}
	select {
	case got := <-answered:
		t.Errorf("answered before the first was done: %s", got)
	default:
	}
	release()
	if got, want := <-answered, "orders 3: third; summary of orders 3: third"; got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
	w.projected.once(t)
	w.projected.mu.Lock()
	defer w.projected.mu.Unlock()
	if order := strings.Join(w.projected.in, " "); !strings.Contains(order, "second third") {
		t.Errorf("called in the order %s", order)
	}
}

// A caller whose time is over hears what is committed; the same again gets the rest.
func TestTheDeadlinePasses(t *testing.T) {
	w := newWorld(t)
	w.all()
	d := w.door(w.workers, 3)
	root := uuid.New()
	release := w.projected.holds(t, "reserve lamp")
	want := "orders 1: order lamp; stock 1: reserve lamp; summary of orders 1: order lamp; WAITS projector.summary of stock 1-1"
	st := w.late(func(ctx context.Context) error {
		_, err := d.Handle(ctx, w.command(root, "the-id", "order lamp", true))
		return err
	}, func(st *status.Status) bool {
		_, answer := detailsOf(st)
		return w.shown(answer) == want
	})
	info, answer := detailsOf(st)
	if st.Code() != codes.DeadlineExceeded || info.GetReason() != "COMMITTED" || info.GetMetadata()["first_page"] != "1" || info.GetMetadata()["command_id"] != "the-id" {
		t.Fatalf("answered %v with %v", st, info)
	}
	if !strings.Contains(info.Metadata["waits_for"], "projector."+w.summary+" of pages 1 to 1 of "+w.stock.Name) {
		t.Errorf("it waits for %s", info.Metadata["waits_for"])
	}
	if got := w.shown(answer); got != want {
		t.Errorf("committed is %s\nwant         %s", got, want)
	}
	release()
	if answer, err := d.Handle(w.within(), w.command(root, "the-id", "order lamp", true)); err != nil || w.shown(answer) != lamp {
		t.Errorf("the same again: %s, %v", w.shown(answer), err)
	}
	w.projected.once(t)
	w.reacted.once(t)
}

// What lies behind more sagas than the configured ones is named, and not waited for.
func TestTheDepthIsExceeded(t *testing.T) {
	w := newWorld(t)
	w.all()
	w.saga(w.stock, false)
	d := w.door(w.workers, 2)
	answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order back and forth", true))
	if err != nil {
		t.Fatal(err)
	}
	got := w.shown(answer)
	for _, want := range []string{
		"orders 1: order back and forth; stock 1: reserve back and forth; orders 2: order back and forth; ",
		"DEPTH command to stock",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("answered %s\nwithout %s", got, want)
		}
	}
	if strings.Contains(got, "stock 2") {
		t.Errorf("waited for what is too deep: %s", got)
	}
}

// A saga that doesn't get an event says so at once, though it commits that later.
func TestNotForTheSaga(t *testing.T) {
	w := newWorld(t)
	w.types = []string{"another.Event"}
	w.all()
	d := w.door(w.workers, 3)
	answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order lamp", true))
	if got, want := w.shown(answer), "orders 1: order lamp; summary of orders 1: order lamp"; err != nil || got != want {
		t.Errorf("answered %s, %v", got, err)
	}
	told := false
	for _, k := range logtest.ReadCommitted(t, w.Cluster, log.RepliesTopic) {
		r := &angzarr.Reaction{}
		told = told || proto.Unmarshal(k.Value, r) == nil && r.Group == log.SagaGroup(w.fulfilment, w.orders.Name)
	}
	if !told {
		t.Error("nobody was told")
	}
}

// What a service has given up is named.
func TestADeadLetterIsNamed(t *testing.T) {
	w := newWorld(t)
	w.projected.fail["order lamp"] = true
	w.reacted.fail["order chair"] = true
	w.all()
	d := w.door(w.workers, 3)
	for says, want := range map[string]string{
		"order lamp":  "orders 1: order lamp; stock 1: reserve lamp; summary of stock 1: reserve lamp; DEAD_LETTER projector.summary of orders 1-1",
		"order chair": "orders 1: order chair; summary of orders 1: order chair; DEAD_LETTER saga.fulfilment of orders 1-1",
	} {
		root := uuid.New()
		for range 2 { // told, and then found in the log
			answer, err := d.Handle(w.within(), w.command(root, "the-id", says, true))
			if got := w.shown(answer); err != nil || got != want {
				t.Errorf("answered %s, %v\nwant     %s", got, err, want)
			}
		}
	}
}

// Nobody waits for a projector of which nothing is left but its name.
func TestAProjectorThatIsNoMore(t *testing.T) {
	w := newWorld(t)
	w.all()
	gone := log.Reader{Group: log.ProjectorGroup(w.Domain("gone"), w.orders.Name), Synchronous: true}
	if err := w.admin.Enrol(t.Context(), w.Cluster, gone, w.orders.Name); err != nil {
		t.Fatal(err)
	}
	d := w.door(w.workers, 3)
	root := uuid.New()
	if st := w.late(func(ctx context.Context) error {
		_, err := d.Handle(ctx, w.command(root, "the-id", "order lamp", true))
		return err
	}, isLate); !isLate(st) {
		t.Errorf("one that is off for a moment was not waited for: %v", st)
	}
	if err := w.admin.DeleteGroup(t.Context(), gone.Group); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order lamp", true))
		if got := w.shown(answer); err != nil || got != lamp {
			t.Errorf("answered %s, %v", got, err)
		}
	}
}

// Nobody waits for pages of a root that was erased and compacted away.
func TestErasedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.all()
	d := w.door(w.workers, 3)
	root := log.Root(uuid.New())
	partition := partitioning.Of(root, w.orders.Partitions)
	sheet := log.NewSheet(w.orders.Name)
	sheet.AddErased(root, &angzarr.Erased{LastSequence: 1}, partition)
	sheet.AddPageTombstone(root, 1, partition)
	writer := w.writer(w.Cluster)
	for i := range sheet.Records {
		if err := writer.Write(t.Context(), &sheet.Records[i]); err != nil {
			t.Fatal(err)
		}
	}
	book := say("order lamp")
	book.Cover, book.Pages[0].Sequence = w.command(uuid.UUID(root), "", "", true).Cover, &angzarr.EventPage_Num{Num: 1}
	answer, err := d.gatherer.Untold().Answer(w.within(), book)
	want := "orders 1: order lamp; ERASED projector.summary of orders 1-1; ERASED saga.fulfilment of orders 1-1"
	if got := w.shown(answer); err != nil || got != want {
		t.Errorf("answered %s, %v\nwant     %s", got, err, want)
	}
}

func (w *world) erase(root uuid.UUID) {
	w.Helper()
	book, err := w.workers[w.orders.Name].Erase(w.within(), &angzarr.EraseRequest{
		Cover: &angzarr.Cover{Domain: w.orders.Name, Root: &angzarr.UUID{Value: root[:]}}, Reason: "a test", CommandId: "erase",
	}, "")
	if err != nil || book.Erased == nil {
		w.Fatal(book, err)
	}
}

// Calls are bounded, and say so before anything is applied.
func TestTooManyWait(t *testing.T) {
	w := newWorld(t)
	w.all()
	d := w.door(w.workers, 3)
	for range 100 {
		x, st := d.gatherer.Begin(t.Context())
		if st != nil {
			t.Fatal(st)
		}
		defer x.End()
	}
	root := uuid.New()
	_, err := d.Handle(w.within(), w.command(root, "", "order lamp", true))
	if st := status.Convert(err); st.Code() != codes.ResourceExhausted || !strings.Contains(st.Message(), "limits.waiting") {
		t.Errorf("answered %v", err)
	}
	if n := inLog(t, w, w.orders.Name, "order lamp"); n != 0 {
		t.Error("it was applied")
	}
}
