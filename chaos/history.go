package chaos

import (
	"math"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// result is what a client knows of a try once it is over.
type result int

const (
	doubtful   result = iota // it may have been applied
	acked                    // these are its pages
	refused                  // business logic said no, in that state
	mismatched               // another sequence was expected
	unapplied                // it was not applied, and nobody decided it
	seen                     // a query's answer: that is the state
	produced                 // it stands in the commands topic
	wrong                    // nobody may be told such a thing
)

func (r result) String() string {
	return [...]string{"in doubt", "acknowledged", "refused", "mismatched", "not applied", "seen", "produced", "WRONG"}[r]
}

// forever is when a try is over that has no answer.
const forever = math.MaxInt64

// topicWay is the way of a try that a producer wrote to the commands topic.
const topicWay = "topic"

// try is one time that a command was given, or a root was asked for.
type try struct {
	ID       string
	Domain   string // the market's; empty, if it is the run's own
	Root     log.Root
	Order    order
	Wish     proto.Message // what is asked of the market, instead of an order
	Expected uint32        // the number that the first new page must get; 0 if unchecked
	Way      string        // a front door, or topicWay

	Call, Return int64 // nanoseconds since the run began

	Result result
	Pages  []page // if acked
	At     state  // if refused or seen; if mismatched its Last alone
	Code   codes.Code
	Said   string // the words of an error
}

func (t *try) command() *anypb.Any {
	if t.Wish != nil {
		return pack(t.Wish)
	}
	return text(t.Order.String())
}

// history is all that clients have tried.
type history struct {
	mu    sync.Mutex
	tries []try
}

func (h *history) add(t try) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries = append(h.tries, t)
}

// byID groups the tries of each command; queries have no id.
func byID(tries []try) map[string][]*try {
	all := make(map[string][]*try)
	for i := range tries {
		if t := &tries[i]; t.Result != seen {
			all[t.ID] = append(all[t.ID], t)
		}
	}
	return all
}

// outcome is what the outcomes topic says of one command record.
type outcome struct {
	ID          string
	Code        codes.Code
	Said        string
	First, Last uint32
	Partition   int32
	Offset      int64
}

// sent is a record of a commands topic.
type sent struct {
	Book *pb.CommandBook
	At   log.Source
	Time time.Time
}

func (s sent) id() string { return s.Book.CommandId }

func (s sent) root() log.Root { return log.Root(s.Book.GetCover().GetRoot().GetValue()) }

// evidence is what the log says once everything is at rest.
type evidence struct {
	Pages       []stored       // in log order of each partition
	Outcomes    []outcome      // the same
	Commands    map[string]int // how many records of each id are in the commands topic
	DeadLetters []string
	Partitions  int32
	// Books is what owners that were started anew say of each root; nil if they
	// were not asked.
	Books map[log.Root]state
	// Shelf is what Redis has of each partition, after all have ended and then
	// with the new owner; nil without Redis.
	Shelf []shelf
}
