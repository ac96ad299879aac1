package business_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
)

// counted is simple logic that counts how often it was asked about a command.
type counted struct {
	mu    sync.Mutex
	asked map[string]int
}

func (c *counted) logic(t *testing.T, g *gate) grpc.ClientConnInterface {
	return serve(t, func(ctx context.Context, cc *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		c.mu.Lock()
		if c.asked == nil {
			c.asked = make(map[string]int)
		}
		c.asked[cc.Command.CommandId]++
		c.mu.Unlock()
		if strings.HasPrefix(textOf(cc.Command.Pages[0].Command), "hold") {
			g.entered <- struct{}{}
			select {
			case <-g.open:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return simple(ctx, cc)
	})
}

func (c *counted) times(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[id]
}

// A slow root holds only itself. The offsets completed beyond it are known to
// whoever takes over, so none of them is decided a second time.
func TestASlowRoot(t *testing.T) {
	for name, end := range map[string]func(*worker){"that is stopped": (*worker).stop, "that crashes": (*worker).crash} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			g := newGate()
			first, second := &counted{}, &counted{}
			x := w.owner(first.logic(t, g))
			o := w.outcomes()
			slow := w.root(0)
			w.put(w.recordOf(w.order(slow, "slow", "hold")))
			await(t, "logic is asked", g.entered)
			w.put(w.recordOf(w.order(slow, "behind it", "x")))
			const others = 60
			for i := range others {
				root := w.root(0)
				w.put(w.recordOf(w.order(root, fmt.Sprint("other ", i), "x")))
			}
			for i := range others {
				if got := o.of(fmt.Sprint("other ", i)); got.FirstPage != 1 {
					t.Errorf("another root's command %d: %v", i, got)
				}
			}
			if w.must(w.order(w.root(0), "call", "x")).Pages[0].GetNum() != 1 {
				t.Error("a call waited")
			}
			offsets, err := kadm.NewClient(w.client).FetchOffsets(t.Context(), log.Group(w.domain.Name))
			if err != nil {
				t.Fatal(err)
			}
			if at, _ := offsets.Lookup(log.CommandsTopic(w.domain.Name), 0); at.At != 0 || at.Metadata == "" {
				t.Errorf("committed is offset %d, %q", at.At, at.Metadata)
			}
			end(x)
			close(g.open)
			y := w.owner(second.logic(t, g))
			for i, id := range []string{"slow", "behind it"} {
				if got := o.of(id); got.FirstPage != uint32(i+1) {
					t.Errorf("%s: %v", id, got)
				}
			}
			w.quiet()
			y.stop()
			for i := range others {
				if id := fmt.Sprint("other ", i); first.times(id) != 1 || second.times(id) != 0 {
					t.Errorf("%s was decided %d times, and %d times after the takeover", id, first.times(id), second.times(id))
				}
			}
			if h := w.audit(); len(h.commands) != others+3 {
				t.Errorf("the log has %d commands", len(h.commands))
			}
		})
	}
}

// load is callers and producers at work, who remember what they were told.
type load struct {
	w         *world
	stop      chan struct{}
	wait      sync.WaitGroup
	mu        sync.Mutex
	told      map[string][2]uint32 // first and last page by command
	put, fail int
}

func (w *world) load(callers, producers, roots int) *load {
	l := &load{w: w, stop: make(chan struct{}), told: make(map[string][2]uint32)}
	all := make([]log.Root, roots)
	for i := range all {
		all[i] = w.root(int32(i) % w.domain.Partitions)
	}
	for n := range callers {
		l.wait.Go(func() {
			pace := time.NewTicker(4 * time.Millisecond)
			defer pace.Stop()
			for i := 0; !l.over(); i++ {
				<-pace.C
				l.call(all[rand.IntN(len(all))], fmt.Sprintf("call %d/%d", n, i))
			}
		})
	}
	for n := range producers {
		l.wait.Go(func() {
			pace := time.NewTicker(4 * time.Millisecond)
			defer pace.Stop()
			for i := 0; !l.over(); i++ {
				<-pace.C
				w.put(w.recordOf(w.order(all[rand.IntN(len(all))], fmt.Sprintf("topic %d/%d", n, i), "say 2 x")))
				l.mu.Lock()
				l.put++
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) over() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) call(root log.Root, id string) {
	ctx, cancel := context.WithTimeout(l.w.t.Context(), bound)
	defer cancel()
	book, err := l.w.handle(ctx, l.w.order(root, id, "x"))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.fail++
		l.w.t.Errorf("command %s: %v", id, err)
		return
	}
	l.told[id] = [2]uint32{book.Pages[0].GetNum(), book.Pages[len(book.Pages)-1].GetNum()}
}

func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.told)
}

// more waits until some more calls were answered.
func (l *load) more() {
	l.w.t.Helper()
	before := l.answered()
	eventually(l.w.t, "calls are answered", func() bool { return l.answered() > before+20 })
}

// end compares what everyone was told with the log.
func (l *load) end() {
	l.w.t.Helper()
	close(l.stop)
	l.wait.Wait()
	l.w.quiet()
	h := l.w.audit()
	for id, told := range l.told {
		h.agree(l.w.t, id, told[0], told[1])
	}
	if len(h.commands) != len(l.told)+l.put {
		l.w.t.Errorf("the log has %d commands; %d calls were answered, %d were produced", len(h.commands), len(l.told), l.put)
	}
	outcomes := make(map[string]int)
	for _, r := range l.w.outcomes().await("outcomes", l.put, func(*kgo.Record) bool { return true }) {
		o := outcomeOf(l.w.t, r)
		outcomes[o.CommandId]++
		h.agree(l.w.t, o.CommandId, o.FirstPage, o.LastPage)
	}
	if len(outcomes) != l.put {
		l.w.t.Errorf("%d commands of %d have an outcome", len(outcomes), l.put)
	}
	for id, n := range outcomes {
		if n != 1 {
			l.w.t.Errorf("command %s has %d outcomes", id, n)
		}
	}
	l.w.t.Logf("%d calls and %d records", len(l.told), l.put)
}

// One worker stays, another joins and leaves ten times.
func TestHandingOverUnderLoad(t *testing.T) {
	w := newWorld(t, 6)
	logic := serve(t, simple)
	w.owner(logic)
	l := w.load(6, 2, 200)
	for range 10 {
		x := w.start(logic)
		eventually(t, "the one that joined has its share", func() bool { return x.Ready() == 3 })
		l.more()
		x.stop()
		l.more()
	}
	l.end()
}

// Workers crash one after another, and are evicted by those who survive.
func TestCrashesUnderLoad(t *testing.T) {
	w := newWorld(t, 4)
	logic := serve(t, simple)
	w.owner(logic)
	l := w.load(6, 2, 200)
	for range 4 {
		x := w.start(logic)
		eventually(t, "the one that joined has its share", func() bool { return x.Ready() == 2 })
		l.more()
		x.crash()
		l.more()
	}
	l.end()
}
