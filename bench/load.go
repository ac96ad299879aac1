package bench

import (
	"context"
	"math/rand/v2"
	"time"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// load drives commands into one deployment.
type load interface {
	// probe sends a few commands to many partitions and returns once all are
	// committed: the deployment is up.
	probe(ctx context.Context) error
	// run sends commands until the window ends, and returns once all that it
	// sent are answered. One failed command fails it.
	run(ctx context.Context, w window) (latencies, error)
	close()
}

// probes is how many roots are asked before a run; with murmur2 and 12
// partitions hardly one is left out.
const probes = 64

// sender makes the commands of one run; safe for concurrent use.
type sender struct {
	domain string
	size   int
	roots  []root
	filler filler
	ledger *ledger
}

func (s *sender) some(random *rand.Rand) root { return s.roots[random.IntN(len(s.roots))] }

// make is the next command: payload, number and time of sending.
func (s *sender) make(r root) (stamp, *pb.CommandBook) {
	now := stamp{sent: time.Now(), index: s.ledger.next()}
	return now, command(s.domain, r, s.filler.payload(s.size, now))
}
