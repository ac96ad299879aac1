// Package load puts load on the inventory of a deployment, and proves afterwards
// that each command which was answered is in the log exactly once.
//
//	create products ──► callers, each in a loop: Handle ──► read all pages back
//
// Invariants:
//   - No call is repeated: what one caller would see, the report has.
//   - Whoever was answered is looked for in the log; who was not may be there, once.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	inventorypb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// patience is a call's deadline.
const patience = 10 * time.Second

// Options say how much load, and for how long.
type Options struct {
	Domain            string
	Products, Callers int
	For               time.Duration
}

// Report is what came of it.
type Report struct {
	Calls          int
	Failed         []error
	Median, P99    time.Duration
	Worst          time.Duration
	Lost, Repeated []string // ids of commands
}

// Err says what is wrong, nil if nothing is.
func (r *Report) Err() error {
	switch {
	case len(r.Lost) > 0 || len(r.Repeated) > 0:
		return fmt.Errorf("%d commands were answered and are not in the log, %d are there more than once: %v %v",
			len(r.Lost), len(r.Repeated), r.Lost, r.Repeated)
	case len(r.Failed) > 0:
		return fmt.Errorf("%d of %d calls failed, the first: %w", len(r.Failed), r.Calls, r.Failed[0])
	}
	return nil
}

func (r *Report) String() string {
	return fmt.Sprintf("%d calls, %d failed, median %v, 99 %% under %v, worst %v; each answered one is in the log exactly once",
		r.Calls, len(r.Failed), r.Median.Round(100*time.Microsecond), r.P99.Round(100*time.Microsecond), r.Worst.Round(time.Millisecond))
}

// load is one run.
type load struct {
	Options
	commands angzarr.BusinessCoordinatorClient
	queries  angzarr.EventQueryClient
	roots    []uuid.UUID

	mu       sync.Mutex
	failed   []error
	took     []time.Duration
	answered map[string]bool
}

// Run loads for as long as the options say, or until ctx ends.
func Run(ctx context.Context, conn grpc.ClientConnInterface, o Options) (*Report, error) {
	l := &load{
		Options: o, answered: make(map[string]bool),
		commands: angzarr.NewBusinessCoordinatorClient(conn), queries: angzarr.NewEventQueryClient(conn),
	}
	if err := l.create(ctx); err != nil {
		return nil, err
	}
	until := time.Now().Add(o.For)
	var callers sync.WaitGroup
	for n := range o.Callers {
		callers.Go(func() {
			for i := n; ctx.Err() == nil && time.Now().Before(until); i++ {
				l.adjust(ctx, l.roots[i%len(l.roots)])
			}
		})
	}
	callers.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return l.report(ctx)
}

func (l *load) create(ctx context.Context) error {
	for n := range l.Products {
		root := uuid.New()
		if err := l.send(ctx, root, "", &inventorypb.CreateProduct{Sku: fmt.Sprint("load-", n), Name: "Lamp"}); err != nil {
			return fmt.Errorf("create a product: %w", err)
		}
		l.roots = append(l.roots, root)
	}
	return nil
}

func (l *load) adjust(ctx context.Context, root uuid.UUID) {
	id, begun := uuid.NewString(), time.Now()
	err := l.send(ctx, root, id, &inventorypb.AdjustStock{Delta: 1, Reason: id})
	took := time.Since(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if err != nil {
		l.failed = append(l.failed, fmt.Errorf("after %v: %w", took.Round(time.Millisecond), err))
		return
	}
	l.answered[id] = true
}

func (l *load) send(ctx context.Context, root uuid.UUID, id string, command proto.Message) error {
	packed, err := anypb.New(command)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = l.commands.Handle(ctx, &angzarr.CommandBook{
		Cover: &angzarr.Cover{Domain: l.Domain, Root: &angzarr.UUID{Value: root[:]}}, CommandId: id,
		Pages: []*angzarr.CommandPage{{Command: packed}},
	})
	return err
}

func (l *load) report(ctx context.Context) (*Report, error) {
	there := make(map[string]int)
	for _, root := range l.roots {
		if err := l.read(ctx, root, there); err != nil {
			return nil, fmt.Errorf("read %s back: %w", root, err)
		}
	}
	return judge(l.took, l.failed, l.answered, there), nil
}

// read counts the commands that led to the pages of a root.
func (l *load) read(ctx context.Context, root uuid.UUID, there map[string]int) error {
	stream, err := l.queries.GetEvents(ctx, &angzarr.Query{Domain: l.Domain, Root: &angzarr.UUID{Value: root[:]}})
	if err != nil {
		return err
	}
	for {
		book, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, page := range book.Pages {
			adjusted := &inventorypb.StockAdjusted{}
			if page.Event.MessageIs(adjusted) {
				if err := page.Event.UnmarshalTo(adjusted); err != nil {
					return err
				}
				there[adjusted.Reason]++
			}
		}
	}
}

// judge compares what was answered with what is there.
func judge(took []time.Duration, failed []error, answered map[string]bool, there map[string]int) *Report {
	r := &Report{Calls: len(took), Failed: failed}
	for id := range answered {
		if there[id] == 0 {
			r.Lost = append(r.Lost, id)
		}
	}
	for id, times := range there {
		if times > 1 {
			r.Repeated = append(r.Repeated, id)
		}
	}
	if n := len(took); n > 0 {
		slices.Sort(took)
		r.Median, r.P99, r.Worst = took[n/2], took[n*99/100], took[n-1]
	}
	return r
}
