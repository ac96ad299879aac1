package partitioning_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// crowd is a group's topic, and those who ask who owns it.
type crowd struct {
	*testing.T
	broker       *logtest.Broker
	owners       *partitioning.Owners
	group, topic string
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	b := logtest.Start(t)
	c := &crowd{t, b, partitioning.NewOwners(b.Client(t)), b.Domain("owners"), b.Domain("owned")}
	b.CreateTopic(t, c.topic, 2)
	return c
}

// join makes a member of the group, until the test ends or it leaves.
func (c *crowd) join(clientID string) (leave func()) {
	member, err := kgo.NewClient(append(c.broker.Cluster.Options(clientID),
		kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(100*time.Millisecond))...)
	if err != nil {
		c.Fatal(err)
	}
	leave = sync.OnceFunc(member.Close)
	c.Cleanup(leave)
	return leave
}

func (c *crowd) of(fresh bool) (string, bool, error) {
	id, ok, err := c.owners.Of(c.Context(), c.group, c.topic, 1, fresh)
	return id.Address, ok, err
}

// becomes asks until the owner has this address, "" for nobody.
func (c *crowd) becomes(address string, fresh bool) {
	c.Helper()
	patience := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got, ok, err := c.of(fresh)
		if err != nil {
			c.Fatal(err)
		}
		if got == address && ok == (address != "") {
			return
		}
		select {
		case <-patience:
			c.Fatalf("the owner is %q, not %q", got, address)
		case <-tick.C:
		}
	}
}

func TestOwnersAreThoseOfTheGroup(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	if got, ok, err := c.of(false); ok || err != nil {
		t.Errorf("a group that is not there has the owner %q, %v", got, err)
	}
	leave := c.join("angzarr/a:1/incarnation")
	c.becomes("a:1", false) // that there was nobody is not believed for long
	leave()
	if got, ok, err := c.of(false); got != "a:1" || !ok || err != nil {
		t.Errorf("what was learnt is forgotten without need: %q, %v", got, err)
	}
	c.becomes("", true)
	leave = c.join("somebody else's")
	defer leave()
	c.becomes("", true)
}

// A broker that hangs holds nobody up for longer than they wait, and is asked
// once for all.
func TestOwnersOfABrokerThatHangs(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.broker.RequireFake(t)
	c.join("angzarr/a:1/incarnation")
	c.becomes("a:1", false)
	stale := time.NewTimer(50 * time.Millisecond) // what is newer is not asked for again
	<-stale.C

	var questions atomic.Int32
	release, asked := make(chan struct{}), make(chan struct{})
	c.broker.Fake.ControlKey(int16(kmsg.DescribeGroups), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.broker.Fake.KeepControl()
		if questions.Add(1) == 1 {
			close(asked)
		}
		c.broker.Fake.SleepControl(func() { <-release })
		return nil, nil, false
	})
	impatient, giveUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, _, err := c.owners.Of(impatient, c.group, c.topic, 1, true)
		first <- err
	}()
	<-asked
	var others sync.WaitGroup
	for range 10 {
		others.Go(func() {
			if got, ok, err := c.of(true); got != "a:1" || !ok || err != nil {
				t.Errorf("who waited got %q, %v", got, err)
			}
		})
	}
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}
	if got, ok, err := c.of(false); got != "a:1" || !ok || err != nil {
		t.Errorf("who would take what is known got %q, %v", got, err)
	}
	close(release)
	others.Wait()
	if n := questions.Load(); n > 2 {
		t.Errorf("the broker was asked %d times", n)
	}
}
