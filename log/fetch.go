package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Generation tells a topic from another one of its name: on another cluster, or
// deleted and made anew. It is empty where brokers have no ids.
type Generation struct {
	Cluster string
	ID      [16]byte
}

// ErrGone says that a topic is not there, or not the one that was meant.
var ErrGone = errors.New("the topic was deleted")

// place is where a topic's partitions are led from.
type place struct {
	generation Generation
	leaders    []int32 // -1 where there is none
	epochs     []int32 // how often each partition got a leader, -1 if that is not known
}

// Generation asks the brokers which topic this is. One that isn't there is
// [ErrGone].
func (a *Admin) Generation(ctx context.Context, topic string) (Generation, error) {
	p, err := a.find(ctx, topic)
	return p.generation, err
}

// find asks where a topic is.
func (a *Admin) find(ctx context.Context, topic string) (place, error) {
	req := kmsg.NewPtrMetadataRequest() // kadm's may be answered from what the client remembers
	of := kmsg.NewMetadataRequestTopic()
	of.Topic = &topic
	req.Topics = append(req.Topics, of)
	meta, err := req.RequestWith(ctx, a.client)
	if err == nil && len(meta.Topics) != 1 {
		err = kerr.UnknownServerError
	}
	if err == nil {
		err = kerr.ErrorForCode(meta.Topics[0].ErrorCode)
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return place{}, fmt.Errorf("topic %s: %w", topic, ErrGone)
	case err != nil:
		return place{}, fmt.Errorf("look for topic %s: %w", topic, err)
	}
	p := place{generation: Generation{ID: meta.Topics[0].TopicID}}
	if meta.ClusterID != nil {
		p.generation.Cluster = *meta.ClusterID
	}
	p.leaders = make([]int32, len(meta.Topics[0].Partitions))
	p.epochs = make([]int32, len(p.leaders))
	for i := range p.leaders {
		p.leaders[i], p.epochs[i] = -1, -1
	}
	for _, one := range meta.Topics[0].Partitions {
		if int(one.Partition) < len(p.leaders) && one.ErrorCode == 0 {
			p.leaders[one.Partition], p.epochs[one.Partition] = one.Leader, one.LeaderEpoch
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.places == nil {
		a.places = make(map[string]place)
	}
	a.places[topic] = p
	return p, nil
}

// where is find, unless it was found before.
func (a *Admin) where(ctx context.Context, topic string) (place, error) {
	a.mu.Lock()
	p, ok := a.places[topic]
	a.mu.Unlock()
	if ok {
		return p, nil
	}
	return a.find(ctx, topic)
}

func (a *Admin) forget(topic string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.places, topic)
}

// Stretch is what one look into a partition gave.
type Stretch struct {
	Partition int32
	Records   []Record // committed and wanted, without markers
	Next      int64    // where the next record may stand
	Epoch     int32    // of the leader under which the log was so, -1 if that is not known
	Stable    int64    // the last stable offset: where committed records end
}

// Fetch reads committed records from an offset on, as many as there are in about
// so many bytes of the log, and never waits for more: nothing was there if Next is
// the offset that was asked for. Records are given of which the keys are wanted, all
// if wanted is nil. The topic must be of that generation, if it is not the zero one.
// Leaders that move are followed, for 15 s.
func (a *Admin) Fetch(ctx context.Context, topic string, of Generation, partition int32, from int64, size int, wanted func(key []byte) bool) (Stretch, error) {
	for until, fails := time.Now().Add(retryTimeout), 1; ; fails++ {
		s, err := a.fetch(ctx, topic, of, partition, from, size, wanted)
		switch {
		case err == nil:
			return s, nil
		case !kerr.IsRetriable(err) || ctx.Err() != nil || time.Now().After(until):
			return s, fmt.Errorf("read %s/%d at %d: %w", topic, partition, from, err)
		}
		a.forget(topic)
		pause := time.NewTimer(retryBackoff(fails))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

func (a *Admin) fetch(ctx context.Context, topic string, of Generation, partition int32, from int64, size int, wanted func(key []byte) bool) (s Stretch, err error) {
	at, err := a.where(ctx, topic)
	if err != nil {
		return s, err
	}
	if of != (Generation{}) && at.generation != of {
		a.forget(topic)
		return s, ErrGone
	}
	if int(partition) >= len(at.leaders) || at.leaders[partition] < 0 {
		return s, kerr.LeaderNotAvailable
	}
	req := kmsg.NewPtrFetchRequest()
	// The partition's limit is the only one: the embedded broker says nothing of
	// aborted transactions where the request's ends an answer.
	req.MaxBytes, req.IsolationLevel, req.SessionEpoch = math.MaxInt32, 1, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, at.generation.ID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, int32(size)
	p.CurrentLeaderEpoch = at.epochs[partition]
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	raw, err := a.client.Broker(int(at.leaders[partition])).RetriableRequest(ctx, req)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", kerr.NotLeaderForPartition, err) // it may have moved
		}
		return s, err
	}
	resp := raw.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return s, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if rp := &resp.Topics[i].Partitions[j]; rp.Partition == partition {
				s, err := open(rp, topic, from, wanted, resp.ThrottleMillis > 0)
				s.Epoch = at.epochs[partition]
				return s, err
			}
		}
	}
	return s, kerr.LeaderNotAvailable
}

// open takes the records out of an answer.
func open(rp *kmsg.FetchResponseTopicPartition, topic string, from int64, wanted func(key []byte) bool, throttled bool) (Stretch, error) {
	s := Stretch{Partition: rp.Partition, Next: from, Stable: rp.LastStableOffset}
	err := kerr.ErrorForCode(rp.ErrorCode)
	if errors.Is(err, kerr.OffsetOutOfRange) && rp.LogStartOffset > from {
		s.Next = rp.LogStartOffset // somebody has deleted what was before
		return s, nil
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		err = kerr.UnknownTopicOrPartition // look again which one is there
	}
	if err != nil {
		return s, err
	}
	if len(rp.RecordBatches) == 0 {
		if !throttled { // a quota empties an answer too (KIP-219)
			s.Next = max(from, rp.LastStableOffset) // compaction took what was there
		}
		return s, nil
	}
	s.Records, s.Next, err = readBatches(rp, topic, from, wanted)
	return s, err
}

var decompressor = kgo.DefaultDecompressor()
