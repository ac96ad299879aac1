package log_test

import (
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

// A new group gets the start of each partition, whatever is in it; one that has
// begun before gets nothing back that it has lost.
func TestEnrol(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	admin, err := b.Cluster.NewAdmin("angzarr/test")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	d, err := admin.EnsureDomain(t.Context(), b.Domain("d"), log.TopicSettings{Partitions: 2, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	writer, err := b.Cluster.NewWriter("angzarr/test")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	p := log.Page{Root: log.Root{1}, Sequence: 1, CreatedAt: time.Now(), TypeURL: "x/T"}
	r := p.Encode(d.Name, 1)
	if err := writer.Write(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	one, two := log.SagaGroup(b.Domain("s"), d.Name), log.ProjectorGroup(b.Domain("p"), d.Name)
	enrol := func(group string) map[int32]int64 {
		t.Helper()
		if err := admin.Enrol(t.Context(), b.Cluster, log.Reader{Group: group}, d.Name); err != nil {
			t.Fatal(err)
		}
		committed, err := admin.Committed(t.Context(), group, log.EventsTopic(d.Name))
		if err != nil {
			t.Fatal(err)
		}
		return committed
	}
	for _, group := range []string{one, two, one} {
		if got := enrol(group); len(got) != 2 || got[0] != 0 || got[1] != 0 {
			t.Errorf("group %s begins at %v", group, got)
		}
	}
	if err := admin.DeleteGroup(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	got := enrol(one)
	if at, there := got[1]; there && at >= 0 {
		t.Errorf("a group that has lost its offsets is to begin anew, at %v", got)
	}
	if at, there := got[0]; !there || at != 0 {
		t.Errorf("where nothing was written it begins at %v", got)
	}
}
