package chaos

import (
	"fmt"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
)

// order is what a command asks of an aggregate, which is a number: a counter's
// or a register's.
type order struct {
	Kind verb
	A, B int64
}

type verb string

const (
	add   verb = "add"   // A pages, each of which adds B
	take  verb = "take"  // A less, refused below zero
	write verb = "write" // A, whatever it was
	swap  verb = "swap"  // B, refused unless it was A
	peek  verb = "peek"  // refused always: a refusal says what is there
)

func (o order) String() string { return fmt.Sprintf("%s %d %d", o.Kind, o.A, o.B) }

func parseOrder(s string) (o order, err error) {
	if _, err = fmt.Sscanf(s, "%s %d %d", &o.Kind, &o.A, &o.B); err != nil {
		return o, fmt.Errorf("order %q: %w", s, err)
	}
	return o, nil
}

// decide gives the number after each page that the order leads to; none if it is
// refused.
func (o order) decide(value int64) (after []int64) {
	switch o.Kind {
	case add:
		for range o.A {
			value += o.B
			after = append(after, value)
		}
		return after
	case take:
		if value >= o.A {
			return []int64{value - o.A}
		}
	case write:
		return []int64{o.A}
	case swap:
		if value == o.A {
			return []int64{o.B}
		}
	}
	return nil
}

// state is an aggregate's after its last page.
type state struct {
	Last  uint32
	Value int64
}

const refusal = "refused at page %d with value %d"

// refused is how business logic says that it refuses in that state.
func (s state) refused() string { return fmt.Sprintf(refusal, s.Last, s.Value) }

// refusedAt reads the state out of a refusal, which others may have wrapped.
func refusedAt(message string) (s state, ok bool) {
	n, _ := fmt.Sscanf(message, refusal, &s.Last, &s.Value)
	return s, n == 2
}

// event is what one page says: the number after it, and whose it is.
type event struct {
	Value     int64
	Part, All int // of the command's pages
	ID        string
}

func (e event) String() string { return fmt.Sprintf("%d %d/%d %s", e.Value, e.Part, e.All, e.ID) }

func parseEvent(s string) (e event, err error) {
	if _, err = fmt.Sscanf(s, "%d %d/%d %s", &e.Value, &e.Part, &e.All, &e.ID); err != nil {
		return e, fmt.Errorf("event %q: %w", s, err)
	}
	return e, nil
}

// page is one of a book, as a caller was told of it or as the log has it.
type page struct {
	Number uint32
	Event  string
}

func (p page) String() string { return fmt.Sprintf("%d %q", p.Number, p.Event) }

// stored is a page in the log.
type stored struct {
	page
	Root      log.Root
	ID        string // of the command, as the page's header says
	Partition int32
	Offset    int64
	Packed    *anypb.Any // the event itself
}
