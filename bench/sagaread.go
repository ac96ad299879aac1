package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/bench/usage"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// reader reads the commands that the events lead to, as they are committed.
func (h *hop) reader() (*kgo.Client, error) {
	from := offsets{}
	for partition := range h.Partitions {
		from[partition] = 0
	}
	return kgo.NewClient(clientOptions(h.Brokers,
		kgo.ConsumePartitions(from.at(topicsOf(h.to.Name).commands)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
	)...)
}

// watch measures from the tenth part of the commands to the ninth: before, the
// process starts; after, some partitions have nothing left.
func (h *hop) watch(ctx context.Context, pid int) (result Result, err error) {
	client, err := h.reader()
	if err != nil {
		return result, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	var at [2]time.Time
	var ours, own [2]usage.Usage
	var seen [2]int
	marks := [2]int{h.Events / 10, h.Events * 9 / 10}
	for n, mark := 0, 0; n < h.Events; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return result, fmt.Errorf("%d of %d commands came: %w", n, h.Events, err)
		}
		for r := range fetches.RecordsAll() {
			if !r.Attrs.IsControl() {
				n++
			}
		}
		for ; mark < 2 && n >= marks[mark]; mark++ {
			at[mark], seen[mark], ours[mark], own[mark] = time.Now(), n, usage.Of(pid), usage.Of(os.Getpid())
		}
	}
	commands := seen[1] - seen[0]
	each := func(u [2]usage.Usage) float64 {
		return (u[1].CPU - u[0].CPU).Seconds() * 1e6 / float64(max(1, commands))
	}
	return Result{
		Commands: commands, PerSecond: float64(commands) / max(at[1].Sub(at[0]), time.Nanosecond).Seconds(),
		CPUMicros: each(ours), LoadCPUMicros: each(own),
		RSSMiB: usage.MiB(ours[1].RSS), PeakMiB: usage.MiB(ours[1].Peak),
	}, nil
}

// audit wants each event's command once, once nobody writes any more.
func (h *hop) audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := h.reader()
	if err != nil {
		return err
	}
	defer client.Close()
	topic := topicsOf(h.to.Name).commands
	until, err := endOf(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for partition, end := range until {
		if end == 0 {
			delete(until, partition)
		}
	}
	ledger, found := &ledger{}, make(entries, h.Events)
	for i := range found {
		ledger.acked = append(ledger.acked, uint64(i))
	}
	for len(until) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("audit: read %s: %w", topic, err)
		}
		for r := range fetches.RecordsAll() {
			if err := found.command(r); err != nil {
				return fmt.Errorf("audit: %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			if end, ok := until[r.Partition]; ok && r.Offset >= end-1 {
				delete(until, r.Partition)
			}
		}
	}
	if err := ledger.check(found); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// command counts the event that a command came of.
func (e entries) command(r *kgo.Record) error {
	if r.Attrs.IsControl() {
		return nil
	}
	book := &pb.CommandBook{}
	if err := proto.Unmarshal(r.Value, book); err != nil {
		return err
	}
	of, err := stampOf(book.GetPages()[0].GetCommand().GetValue())
	if err != nil {
		return err
	}
	if of.index >= uint64(len(e)) {
		return fmt.Errorf("command %d was never sent", of.index)
	}
	e[of.index]++
	return nil
}
