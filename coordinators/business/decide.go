package business

import (
	"time"

	"github.com/angzarr/angzarr-kafka/internal/seam"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/status"
)

// decision is what was decided of a command, before it is committed.
type decision struct {
	*command
	line *line // nil if it concerns no root

	pages    []log.Page         // new ones, numbered
	snapshot *angzarr.Snapshot  // nil if there is none
	refused  *status.Status     // nil if it was accepted
	repeat   *angzarr.EventBook // the pages of the first time, if it is a repeat
	first    int64              // where these are in the log, or a place before
	dead     bool               // it is to become a dead letter
	forward  bool               // it is to go to the partition where it belongs
	notify   int32              // of how many partitions the domain is that is to be told of its rejection, 0 if none is
	erasure  *erasure           // what of an erasure it does, nil for all else

	records int  // how many its transaction writes for it
	size    int  // and of how many bytes
	cut     bool // the least that says so is written, as more is too large
}

// unfinished says that more follows for the same command once it is committed.
func (d *decision) unfinished() bool { return d.erasure != nil && d.erasure.unfinished() }

// decide does what needs no business logic, or asks it.
func (w *Worker) decide(l *line, c *command) {
	if c.erase != nil {
		w.decideErasure(l, c)
		return
	}
	if err := l.book.Err(); err != nil {
		w.log.Error("an aggregate takes no commands until its history is mended", "root", l.root, "error", err)
	} else if was, known := l.book.Applied(c.cause.CommandID); known && !seam.NoIDs {
		repeat := func(pages []*angzarr.EventPage) {
			w.decideOn(&decision{command: c, line: l, repeat: &angzarr.EventBook{Pages: pages}, first: was.Offset})
		}
		if was.Sure {
			w.collect(l, c, was.First, was.Last, was.Offset, repeat)
		} else {
			w.lookUp(l, c, was, repeat)
		}
		return
	}
	w.decideNew(l, c)
}

// decideNew decides a command that was not applied before.
func (w *Worker) decideNew(l *line, c *command) {
	if st := precheck(w.domain.Name, c, l.book, w.limits); st != nil {
		w.decideOn(&decision{command: c, line: l, refused: st.status, dead: st.dead})
		return
	}
	if c.record != nil {
		w.decideRecord(l, c)
		return
	}
	w.ask(l, c)
}

// decideRecord decides on pages to record, once it has those that are there.
func (w *Worker) decideRecord(l *line, c *command) {
	judge := func(there []*angzarr.EventPage) {
		pages, repeat, st := recorded(w.domain.Name, c, l.book, there, time.Now(), w.limits)
		w.decideOn(&decision{command: c, line: l, pages: pages, repeat: repeat, refused: st})
	}
	if from, to, any := overlap(c.record, l.book.Last()); any {
		w.collect(l, c, from, to, 0, judge)
		return
	}
	judge(nil)
}

// decideOn takes in what was decided of a line's first command.
func (w *Worker) decideOn(d *decision) {
	if d.part.ctx.Err() != nil {
		w.abandon(d.line, d.command) // too late for the revocation
		return
	}
	w.metrics.stage(stageDecide, time.Since(d.arrived))
	switch {
	case d.polled != nil && d.refused != nil:
		w.rejected(d)
	case d.polled != nil:
		w.decided = append(w.decided, d)
	case d.repeat != nil:
		// Its pages are committed, whoever is the owner now.
		w.finish(d.command, w.bookOf(d), nil)
		w.free(d.line)
	case d.refused != nil, len(d.pages) == 0 && d.snapshot == nil && d.erasure == nil:
		w.unproved = append(w.unproved, d)
		w.free(d.line)
	case !d.settle():
		w.finish(d.command, nil, d.late(d.ctx.Err()).Err()) // its caller gave it up
		w.free(d.line)
	default:
		w.decided = append(w.decided, d)
	}
}

// ready takes in a decision that concerns no root.
func (w *Worker) ready(d *decision) {
	d.part.open++
	w.decided = append(w.decided, d)
}
