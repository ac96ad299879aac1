package partitioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// poll is how often a transaction that is about to end is looked at again.
const poll = 2 * time.Millisecond

// lastPoll bounds the pause before what failed is tried again.
const lastPoll = 200 * time.Millisecond

// endOrphans ends the transactions that workers of this group left open when
// they died, so that nobody has to wait until the broker times them out. It
// returns once they are ended: offsets fetched from then on are stable. What
// fails is tried again until ctx ends, unless it is forbidden.
//
// A transaction whose worker is a member of the group is never touched. One of
// a worker that is between two memberships may be: the group's generation has
// fenced it anyway. What that worker writes as a member again it writes under
// another transactional id.
func endOrphans(ctx context.Context, cl *kgo.Client, group string) (ended int, err error) {
	adm := kadm.NewClient(cl)
	asked := make(map[string]bool)
	for pause := poll; ; {
		waiting, err := endSome(ctx, adm, cl, group, asked)
		switch {
		case err == nil && !waiting, forbidden(err):
			return len(asked), err
		case err == nil:
			pause = poll
		default:
			pause = min(2*pause, lastPoll)
		}
		if over := sleep(ctx, pause); over != nil {
			return len(asked), fmt.Errorf("wait for transactions of %s to end: %w", group, cmp.Or(err, over))
		}
	}
}

// endSome asks for the end of what is open now, and is to be asked for: asked
// gets it. waiting says that not all of it has ended.
func endSome(ctx context.Context, adm *kadm.Client, cl *kgo.Client, group string, asked map[string]bool) (waiting bool, failed error) {
	// Listed first: whoever is no member afterwards was none, or has left.
	open, failed := openTransactions(ctx, adm, group)
	if len(open) == 0 {
		return false, failed
	}
	members, err := incarnations(ctx, adm, group)
	if err != nil {
		return false, err
	}
	for id, state := range open {
		incarnation, _ := incarnationOf(group, id)
		switch {
		case members[incarnation]:
		case state != "Ongoing": // its outcome is decided, its markers are being written
			waiting = true
		default:
			switch err := fenceProducer(ctx, cl, id); {
			case err == nil, errors.Is(err, kerr.ConcurrentTransactions):
				asked[id], waiting = true, waiting || err != nil
			default:
				failed = fmt.Errorf("end transaction %s: %w", id, err)
			}
		}
	}
	return waiting, failed
}

// forbidden says that a broker does not let this client do it, now or later.
func forbidden(err error) bool {
	for _, why := range []error{kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// openTransactions gives the state of the group's transactions that have not
// ended, by their ids. With an error of some brokers come those of the others.
func openTransactions(ctx context.Context, adm *kadm.Client, group string) (map[string]string, error) {
	states := []string{"Ongoing", "PrepareCommit", "PrepareAbort"}
	listed, err := adm.ListTransactions(ctx, nil, states)
	if err != nil {
		err = fmt.Errorf("list transactions of %s: %w", group, err)
	}
	open := make(map[string]string)
	for id, t := range listed {
		// Some brokers don't filter.
		if _, ours := incarnationOf(group, id); ours && slices.Contains(states, t.State) {
			open[id] = t.State
		}
	}
	return open, err
}

// incarnations gives the workers that are members of the group.
func incarnations(ctx context.Context, adm *kadm.Client, group string) (map[string]bool, error) {
	all, err := members(ctx, adm, []string{group})
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	for _, m := range all {
		found[m.Incarnation] = true
	}
	return found, nil
}

// endTransaction ends what is open under a transactional id, and fences its
// producer for good. After a nil error nothing is open under it any more, and
// all markers are written: the broker gives out a producer id only then.
func endTransaction(ctx context.Context, cl *kgo.Client, transactionalID string) error {
	for {
		err := fenceProducer(ctx, cl, transactionalID)
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil && (errors.Is(err, kerr.ConcurrentTransactions) || kerr.IsRetriable(err)):
			if err := sleep(ctx, poll); err == nil {
				continue
			}
		}
		return fmt.Errorf("end transaction %s: %w", transactionalID, err)
	}
}

// fenceProducer asks for what endTransaction waits for.
func fenceProducer(ctx context.Context, cl *kgo.Client, transactionalID string) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = &transactionalID
	req.TransactionTimeoutMillis = int32(transactionTimeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
