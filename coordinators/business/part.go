package business

import (
	"context"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/internal/seam"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// part is a partition under one claim. The loop owns it.
type part struct {
	claim *partitioning.Claim
	ctx   context.Context // ends with the part
	end   context.CancelFunc
	shift calls.Shift

	ready   bool       // its books are folded to the high watermark
	closing bool       // it is being revoked: what is decided still commits
	gone    bool       // it was dropped
	early   []*command // calls that came before it was ready
	backlog []log.Record
	paused  bool // the backlog is to be admitted before more is read

	lines  map[log.Root]*line
	cold   []*line // lines that wait for their books
	inLoad bool

	// open counts what is being decided, or decided and not committed; closed
	// are called when it gets to 0 while closing.
	open   int
	closed []func()
}

// Assigned is called by the member: it takes the partitions over, which means to
// fold their books from the log up to the high watermark.
func (w *Worker) Assigned(claims []*partitioning.Claim) {
	w.loop.Do(func() {
		if w.stopping {
			return
		}
		for _, claim := range claims {
			if old := w.parts[claim.Partition]; old != nil {
				w.drop(old) // the group's session began anew before it came to reading
			}
			ctx, end := context.WithCancel(w.work)
			p := &part{claim: claim, ctx: ctx, end: end, lines: make(map[log.Root]*line), paused: true}
			w.parts[claim.Partition] = p
			w.takeOver(p)
		}
		w.metrics.owned(len(w.parts))
	})
}

// takeOver makes a partition ready. It tries for as long as the claim lasts.
func (w *Worker) takeOver(p *part) {
	begun := time.Now()
	w.loop.Aside(func() func() {
		records := 0
		for attempt := 0; p.ctx.Err() == nil; attempt++ {
			err := w.restore(p, func(n int) { records = n })
			if err == nil {
				break
			}
			if p.ctx.Err() == nil {
				w.log.Warn("a takeover is tried again", "partition", p.claim.Partition, "error", err)
				calls.Wait(p.ctx, calls.RetryAfter(attempt))
			}
		}
		return func() {
			if p.ctx.Err() == nil && !p.closing {
				w.tookOver(p, records, time.Since(begun))
			}
		}
	})
}

// tookOver lets a part's commands begin.
func (w *Worker) tookOver(p *part, records int, took time.Duration) {
	w.metrics.tookOver(took)
	w.log.Info("took over a partition", "partition", p.claim.Partition, "records", records, "took", took.Round(time.Millisecond))
	for _, err := range w.books.Broken(p.claim.Partition) {
		w.log.Error("an aggregate takes no commands until its history is mended", "error", err)
	}
	p.ready = true
	early := p.early
	p.early = nil
	for _, c := range early {
		w.enqueue(c)
	}
	w.admit(p)
	w.step()
	w.loop.Aside(func() func() {
		w.books.Keep(p.ctx, w.read, w.end(p), p.claim.Partition)
		return func() {}
	})
}

// restore captures the high watermark and folds up to it. Bounded by the last
// stable offset it would miss pages whose transaction is about to be committed.
func (w *Worker) restore(p *part, progress func(int)) error {
	end, err := w.end(p)(p.ctx)
	if err != nil {
		return err
	}
	return w.books.Restore(p.ctx, w.read, map[int32]int64{p.claim.Partition: end - seam.Short}, progress)
}

// end gives the high watermark of the part's events.
func (w *Worker) end(p *part) snapshots.End {
	return func(ctx context.Context) (int64, error) { return w.endOf(ctx, p.claim.Partition) }
}

func (w *Worker) endOf(ctx context.Context, partition int32) (int64, error) {
	topic := log.EventsTopic(w.domain.Name)
	ends, err := w.member.HighWatermarks(ctx, topic)
	end, known := ends[partition]
	if err == nil && !known {
		err = fmt.Errorf("the brokers don't say where %s/%d ends", topic, partition)
	}
	return end, err
}

// read reads the domain's events.
func (w *Worker) read(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
	return w.cluster.Scan(ctx, log.EventsTopic(w.domain.Name), spans, fn)
}
