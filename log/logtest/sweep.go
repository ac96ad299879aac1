package logtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sweep deletes the test's topics and groups. What can't be deleted, such as
// a group whose member was left to die, is said and left.
func (b *Broker) sweep(t testing.TB) {
	// The test's own context has ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(b.Cluster.Options("angzarr/test-sweep")...)
	if err != nil {
		t.Logf("clean up: %v", err)
		return
	}
	defer client.Close()
	admin := kadm.NewClient(client)

	groups, err := admin.ListGroups(ctx)
	if err != nil {
		t.Logf("clean up: list groups: %v", err)
	}
	if mine := b.mine(groups.Groups()); len(mine) > 0 {
		deleted, err := admin.DeleteGroups(ctx, mine...)
		logFailure(t, "groups", err, deleted.Error())
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		t.Logf("clean up: list topics: %v", err)
	}
	if mine := b.mine(topics.Names()); len(mine) > 0 {
		deleted, err := admin.DeleteTopics(ctx, mine...)
		logFailure(t, "topics", err, deleted.Error())
	}
}

func (b *Broker) mine(names []string) []string {
	var mine []string
	for _, name := range names {
		if strings.Contains(name, b.suffix) {
			mine = append(mine, name)
		}
	}
	return mine
}

func logFailure(t testing.TB, what string, errs ...error) {
	for _, err := range errs {
		// A test may have deleted some by itself.
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Logf("clean up %s: %v", what, err)
		}
	}
}
