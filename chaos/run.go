package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// Options are of one run.
type Options struct {
	Seed     uint64
	Duration time.Duration // how long clients give commands, and faults happen
	Root     string        // of the project: where it is built, and deploy/kafka is
	Out      io.Writer

	Brokers   []string // a Kafka that is there: it is never killed
	KafkaPort int      // of the run's own, without Brokers
	Snapshots string   // snapshots.type: memory or redis

	Processes, Partitions, Roots, Clients int

	trial   *trial // of a rule, with a program that was built with seams
	program string
}

// ErrWrong says that a proof failed; what is wrong has been said.
var ErrWrong = errors.New("what was promised does not hold")

// runner is one run and what it has started.
type runner struct {
	o      Options
	domain string
	dir    string // for what processes say; kept if the run fails

	cluster    log.Cluster
	kafka      kafka
	brokerBusy sync.Mutex
	redis      *redis
	market     *market // nil in a trial that is about something else
	stall      *stall
	fleet      *fleet
	deck       []kind

	saying sync.Mutex
}

// Run runs the deployment under faults, and checks it. What was done and what is
// wrong is written to Out.
func Run(ctx context.Context, o Options) error {
	suffix := fmt.Sprintf("%d-%d", o.Seed, time.Now().Unix())
	r := &runner{o: o, domain: "chaos-" + suffix, deck: mixed}
	if o.trial == nil || o.trial.market {
		r.market = newMarket(suffix)
	}
	var err error
	if r.dir, err = os.MkdirTemp("", "angzarr-chaos-"); err != nil {
		return err
	}
	err = r.run(ctx)
	if err == nil || o.trial != nil && o.trial.off != "" {
		return errors.Join(err, os.RemoveAll(r.dir))
	}
	r.say("what the processes said is in %s", r.dir)
	return err
}

func (r *runner) say(format string, args ...any) {
	r.saying.Lock()
	defer r.saying.Unlock()
	fmt.Fprintf(r.o.Out, format+"\n", args...)
}

func (r *runner) run(ctx context.Context) (err error) {
	off := ""
	if r.o.trial != nil {
		r.deck, r.o.Duration, off = r.o.trial.deck, r.o.trial.lasts, r.o.trial.off
		if r.o.trial.alone {
			r.o.Clients, r.o.Roots = 0, 1
		}
	}
	r.say("seed %d, %v, %d processes, %d roots, %d clients, snapshots in %s",
		r.o.Seed, r.o.Duration, r.o.Processes, r.o.Roots, r.o.Clients, r.o.Snapshots)
	binary := r.o.program
	if binary == "" {
		binary = filepath.Join(r.dir, "angzarr")
		if err := build(ctx, r.o.Root, binary); err != nil {
			return err
		}
	}
	end, err := r.services(ctx)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	business := &logic{slowest: 30 * time.Millisecond}
	address, stop, err := business.serve()
	if err != nil {
		return err
	}
	defer stop()
	if r.market != nil {
		if r.stall, err = newStall(ctx, r.market, r.dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.stall.end()) }()
	}
	config := func(_ int, listen, peers string) string { return r.config(listen, peers, address) }
	if r.fleet, err = newFleet(binary, r.dir, []string{"CHAOS_SEAM=" + off}, r.o.Processes, config); err != nil {
		return err
	}
	defer r.fleet.endAll(syscall.SIGKILL)
	if err := r.others(nil, func(p *process) error { return r.fleet.start(ctx, p) }); err != nil {
		return err
	}
	return r.suffering(ctx)
}

// suffering is the run itself, once all is up.
func (r *runner) suffering(ctx context.Context) error {
	writer, err := r.cluster.NewWriter("angzarr/chaos")
	if err != nil {
		return err
	}
	defer writer.Close()
	l := newLoad(r, writer)
	var given sync.WaitGroup
	given.Go(l.run)
	if r.market != nil {
		l.shop = newShop(l)
		given.Go(l.shop.run)
	}
	faults := schedule(r.o.Seed, r.o.Duration, r.o.Processes, r.deck, r.possible)
	done, err := r.inject(ctx, faults)
	close(l.stopped)
	given.Wait()
	if err != nil {
		return err
	}
	r.say("the clients have stopped; waiting for the rest to be answered")
	e, t, err := r.read(ctx, l)
	if err != nil {
		return err
	}
	tries := l.history.tries
	r.report(tries, e, faults, done)
	found := check(tries, e)
	if r.market != nil {
		r.say("on the market: %s\n", t.text(r.market))
		found = append(found, checkTrade(r.market, t, l.shop.history.tries)...)
		if r.o.Duration >= time.Minute {
			found = append(found, t.untried(r.market)...)
		}
		tries = slices.Concat(tries, l.shop.history.tries, t.tries(l.begun))
	}
	for _, crash := range r.fleet.crashed {
		found = append(found, finding{Proof: "processes", Text: crash})
	}
	if len(found) == 0 {
		r.say("nothing is wrong")
		return nil
	}
	r.tell(found, tries, e.with(t))
	return ErrWrong
}

// patience is how long the rest may take to be answered. Without a rule it may
// never be.
func (r *runner) patience() time.Duration {
	if r.o.trial != nil {
		return 15 * time.Second
	}
	return patience
}

// possible leaves out faults of what the run doesn't have.
func (r *runner) possible(k kind) bool {
	if k == broker {
		return len(r.o.Brokers) == 0
	}
	return (r.redis != nil || !k.ofRedis()) && (r.stall != nil || !k.ofMarket())
}

// read reads the log once it is at rest, and then asks owners that start anew
// what they know.
func (r *runner) read(ctx context.Context, l *load) (e evidence, t trade, err error) {
	admin, err := r.cluster.NewAdmin("angzarr/chaos")
	if err != nil {
		return e, t, err
	}
	defer admin.Close()
	log := reader{r.cluster, admin, r.domain}
	if err := log.settle(ctx, r.patience()); err != nil {
		return e, t, err
	}
	if r.market != nil {
		if err := log.settleTrade(ctx, r.market, l.shop.history.tries, r.o.Partitions, r.patience()); err != nil {
			return e, t, err
		}
	}
	r.fleet.endAll(syscall.SIGTERM)
	if r.market != nil {
		if t, err = log.trade(ctx, r.market, r.o.Partitions); err != nil {
			return e, t, err
		}
	}
	e, err = r.rest(ctx, l, log)
	return e, t, err
}

// rest reads what all have left that have ended, and what one knows that takes
// everything over.
func (r *runner) rest(ctx context.Context, l *load, log reader) (evidence, error) {
	e, err := log.evidence(ctx)
	if err != nil {
		return e, err
	}
	e.Partitions = int32(r.o.Partitions)
	auditor, err := r.newAuditor(ctx, log)
	if err != nil {
		return e, err
	}
	defer auditor.close()
	left, err := auditor.audit(ctx, false)
	if err != nil {
		return e, err
	}
	if err := r.fleet.start(ctx, r.fleet.slots[0]); err != nil {
		return e, err
	}
	e.Books = l.knownNow()
	owned, err := auditor.audit(ctx, true)
	if err != nil {
		return e, err
	}
	e.Shelf = append(left, owned...)
	r.fleet.endAll(syscall.SIGTERM)
	return e, nil
}

// knownNow asks the one process that runs for each root, by a command that is
// always refused: the answer comes from the owner's book.
func (l *load) knownNow() map[log.Root]state {
	known := make(map[log.Root]state, len(l.roots))
	asked := &history{}
	asking := &load{runner: l.runner, history: asked, begun: l.begun}
	until := time.Now().Add(l.patience())
	for i, t := range l.roots {
		left := max(time.Until(until), 50*time.Millisecond)
		asking.call(&target{}, try{ID: fmt.Sprint("last-", i), Root: t.root, Order: order{Kind: peek}}, left, 0)
		if t := asked.tries[i]; t.Result == refused {
			known[t.Root] = t.At
		} else {
			known[t.Root] = state{Value: -1} // it can't be: the answer says why
			l.history.add(t)
		}
	}
	return known
}

func (r *runner) config(listen, peers, logic string) string {
	services := fmt.Sprintf("  - {domain: %s, address: '%s'}\n", r.domain, logic)
	if r.market != nil {
		services = r.market.config(services, r.stall.address)
	} else {
		services = "business_logic:\n" + services
	}
	shelf := "type: memory"
	if r.redis != nil {
		shelf = "type: redis, address: '" + r.redis.address + "'"
	}
	peered := ""
	if peers != "" {
		peered = fmt.Sprintf("peers: {listen: '%s', insecure: true}", peers)
	}
	return fmt.Sprintf(`
listen: %s
admin: 127.0.0.1:0
%s
log: {type: kafka, brokers: [%s], partitions: %d, replication_factor: 1}
snapshots: {%s}
%s`, listen, peered, strings.Join(r.cluster.Brokers, ", "), r.o.Partitions, shelf, services)
}
