package business

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/status"
)

// ErrNotOwner says that the worker does not own the root's partition (any more):
// nothing has happened, and somebody else can do it.
var ErrNotOwner = errors.New("this process does not own the root's partition")

// command is one CommandBook, or one EventBook to record, on its way.
type command struct {
	// ctx ends when nobody waits for the answer any more. A polled command's
	// ends with its deadline, if it has one.
	ctx     context.Context
	root    log.Root
	rooted  bool // root could be read
	cause   log.Cause
	order   order
	encoded []byte             // the CommandBook as it came
	ids     []byte             // fields that it lacks, to be appended
	record  *angzarr.EventBook // nil to decide
	erase   *angzarr.EraseRequest
	arrived time.Time
	part    *part

	// Of a call: where the answer goes, once. Nil for a polled command.
	answer chan answer

	// Of a polled command: its record, and the partition of the replies topic
	// that waits for it, -1 if none does.
	polled  *log.Record
	replyTo int32

	attempts int // how often business logic was asked
	reads    int // how often its pages could not be read back

	replay *replay // of which dead letter it is the replay, nil for others

	// Of an erasure: dead letters that are to go, and whether a command in the
	// topic remembers it.
	letters    []log.LetterID
	remembered bool

	// unavailable is why business logic could not be asked the last time. It
	// outlives the wait: a caller who gives up meanwhile hears of it.
	unavailable atomic.Pointer[status.Status]

	// state says who has the last word on a call: its caller, who may give it
	// up while it is undecided, or the loop, once it is decided.
	state atomic.Int32
}

// The states of a call. It leaves the first one once.
const (
	undecided int32 = iota
	settled         // it goes on whether or not somebody waits
	givenUp         // it will never be applied
)

// give gives an undecided command up. False says that it is decided.
func (c *command) give() bool {
	return c.state.CompareAndSwap(undecided, givenUp) || c.state.Load() == givenUp
}

// settle takes the last word from the caller. False says that it was given up.
func (c *command) settle() bool {
	return c.state.CompareAndSwap(undecided, settled) || c.state.Load() == settled
}

// late is the status of a command whose caller waits no longer.
func (c *command) late(err error) *status.Status {
	if st := c.unavailable.Load(); st != nil && errors.Is(err, context.DeadlineExceeded) {
		return st
	}
	return status.FromContextError(err)
}

// reply answers a call. A polled command has nobody to answer; its outcome is
// in the log.
func (c *command) reply(book *angzarr.EventBook, err error) {
	if c.answer != nil {
		c.answer <- answer{book, err}
	}
}

// answer is what a caller gets.
type answer struct {
	book *angzarr.EventBook
	err  error
}

// replay is the dead letter that a polled command was.
type replay struct {
	letter   log.LetterID
	attempts int // before
}
