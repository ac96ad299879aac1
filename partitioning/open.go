package partitioning

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// OpenTransaction is one that has not ended.
type OpenTransaction struct {
	ID    string
	State string
	Since time.Time // by its coordinator's clock
}

// OpenTransactions gives those whose id begins with the prefix. Brokers before
// Kafka 3 don't tell of any.
func OpenTransactions(ctx context.Context, client *kgo.Client, prefix string) (open []OpenTransaction, err error) {
	adm := kadm.NewClient(client)
	listed, err := adm.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return nil, fmt.Errorf("list transactions: %w", err)
	}
	var ids []string
	for id := range listed {
		if strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil // the client would describe all there are
	}
	described, err := adm.DescribeTransactions(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("describe transactions: %w", err)
	}
	for _, t := range described.Sorted() {
		if t.Err == nil && t.StartTimestamp > 0 {
			open = append(open, OpenTransaction{t.TxnID, t.State, time.UnixMilli(t.StartTimestamp)})
		}
	}
	return open, nil
}

// Groups are the names of all groups that begin with the prefix.
func Groups(ctx context.Context, client *kgo.Client, prefix string) (groups []string, err error) {
	listed, err := kadm.NewClient(client).ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	for _, name := range listed.Groups() {
		if strings.HasPrefix(name, prefix) {
			groups = append(groups, name)
		}
	}
	return groups, nil
}
