package partitioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// poll is how often a transaction that is about to end is looked at again.
const poll = 2 * time.Millisecond

// endOrphans ends the transactions that workers of this group left open when
// they died, so that nobody has to wait until the broker times them out. It
// returns once they are ended: offsets fetched from then on are stable.
//
// A transaction whose worker is a member of the group is never touched. One of
// a worker that is between two memberships may be; the group's generation has
// fenced it anyway, and it makes itself a new producer.
func endOrphans(ctx context.Context, cl *kgo.Client, group string) (ended int, err error) {
	adm := kadm.NewClient(cl)
	for {
		// Listed first: whoever is no member afterwards was none, or has left.
		listed, err := adm.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
		if err != nil {
			return ended, fmt.Errorf("list transactions of %s: %w", group, err)
		}
		orphans := make(map[string]string) // transactional id → state
		for id, t := range listed {
			if _, ours := incarnationOf(group, id); ours {
				orphans[id] = t.State
			}
		}
		if len(orphans) == 0 {
			return ended, nil
		}
		members, err := incarnations(ctx, adm, group)
		if err != nil {
			return ended, err
		}
		for id, state := range orphans {
			incarnation, _ := incarnationOf(group, id)
			if members[incarnation] {
				delete(orphans, id)
				continue
			}
			if state != "Ongoing" {
				continue // its outcome is decided, its markers are being written
			}
			if err := endTransaction(ctx, cl, id); err != nil {
				return ended, err
			}
			ended++
			delete(orphans, id)
		}
		if len(orphans) == 0 {
			return ended, nil
		}
		if err := sleep(ctx, poll); err != nil {
			return ended, fmt.Errorf("wait for transactions of %s to end: %w", group, err)
		}
	}
}

// incarnations gives the workers that are members of the group.
func incarnations(ctx context.Context, adm *kadm.Client, group string) (map[string]bool, error) {
	described, err := adm.DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	members := make(map[string]bool)
	for _, m := range described[group].Members {
		if id, ok := identityOf(m.ClientID); ok {
			members[id.Incarnation] = true
		}
	}
	return members, nil
}

// endTransaction ends what is open under a transactional id, and fences its
// producer for good. After a nil error nothing is open under it any more, and
// all markers are written: the broker gives out a producer id only then.
func endTransaction(ctx context.Context, cl *kgo.Client, transactionalID string) error {
	for {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID = &transactionalID
		req.TransactionTimeoutMillis = int32(transactionTimeout.Milliseconds())
		req.ProducerID, req.ProducerEpoch = -1, -1
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
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
