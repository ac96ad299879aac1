package log_test

import (
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

func TestInspect(t *testing.T) {
	b := logtest.Start(t)
	admin, err := b.Cluster.NewAdmin("test")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	domain := b.Domain("seen")
	if _, err := admin.EnsureDomain(t.Context(), domain, log.TopicSettings{Partitions: 3, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	writer, err := b.Cluster.NewWriter("test")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	record := log.Record{Topic: log.CommandsTopic(domain), Partition: 1, Value: []byte("x"), Time: at}
	if err := writer.Write(t.Context(), &record); err != nil {
		t.Fatal(err)
	}
	brokers, err := admin.Brokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(brokers) == 0 || brokers[0].Err != nil || !brokers[0].Fences || brokers[0].Address == "" || len(brokers[0].Settings) == 0 {
		t.Errorf("brokers: %+v", brokers)
	}
	all, err := admin.Topics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	topics := make(map[string]log.TopicState)
	for _, topic := range all {
		topics[topic.Name] = topic
	}
	commands := topics[log.CommandsTopic(domain)]
	if commands.Partitions != 3 || commands.Replicas != 1 || commands.Offsets != 1 || commands.Settings["cleanup.policy"] != "delete" || len(commands.Leaderless)+len(commands.Behind) > 0 {
		t.Errorf("commands: %+v", commands)
	}
	if !commands.Newest.IsZero() && !commands.Newest.Equal(at) {
		t.Errorf("the newest is of %v, not %v", commands.Newest, at)
	}
	if wrong := log.JudgeDomain(domain, topics, 0); len(wrong) > 0 {
		t.Errorf("what was made is wrong: %v", wrong)
	}
	commands.Settings["cleanup.policy"] = "compact"
	if wrong := log.JudgeDomain(domain, topics, 0); len(wrong) != 1 {
		t.Errorf("found %v", wrong)
	}
}
