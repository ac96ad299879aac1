package rebuild

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"

	"github.com/angzarr/angzarr-kafka/log"
)

const (
	// exchangeRecords and exchangeBytes bound a transaction of an exchange.
	exchangeRecords = 2_000
	exchangeBytes   = 4 << 20
)

// exchange has the shown topic hold what a version has made, and nothing else. It
// writes what differs. In memory it has the roots of one partition.
type exchange struct {
	steersman *Steersman
	shown     string
	staged    string // "" where the version has written to shown all along
	version   uint32

	batch   []log.Record
	bytes   int
	written int
}

func (x *exchange) run(ctx context.Context) error {
	ends, err := x.steersman.c.Admin.HighWatermarks(ctx, x.shown)
	if err != nil {
		return err
	}
	var staged map[int32]int64
	if x.staged != "" {
		if staged, err = x.steersman.c.Admin.HighWatermarks(ctx, x.staged); errors.Is(err, log.ErrNoTopic) {
			err = x.neverMade(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	for p, end := range ends {
		if x.staged == "" {
			err = x.sweep(ctx, p, end)
		} else {
			err = x.copy(ctx, p, end, staged[p])
		}
		if err == nil {
			err = x.flush(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// neverMade says that there are no domains, hence no workers that made the topic. Else
// a broker may only not know of it: taken for empty it would have all deleted.
func (x *exchange) neverMade(ctx context.Context, missing error) error {
	domains, err := x.steersman.c.Domains(ctx)
	if err == nil && len(domains) > 0 {
		err = missing
	}
	return err
}

// scan reads one partition up to its end.
func (x *exchange) scan(ctx context.Context, topic string, p int32, end int64, fn func(*log.Record) error) error {
	return x.steersman.c.Cluster.Scan(ctx, topic, map[int32]log.Span{p: {To: end}}, fn)
}

// copy writes to a partition what stands in the staged one of the same number.
func (x *exchange) copy(ctx context.Context, p int32, end, stagedEnd int64) error {
	seed := maphash.MakeSeed()
	shown := make(map[string]uint64) // what stands, by root
	err := x.scan(ctx, x.shown, p, end, func(r *log.Record) error {
		if delete(shown, string(r.Key)); r.Value != nil {
			shown[string(r.Key)] = maphash.Bytes(seed, r.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	latest := make(map[string]int64) // where the latest of a root is
	err = x.scan(ctx, x.staged, p, stagedEnd, func(r *log.Record) error {
		if delete(latest, string(r.Key)); r.Value != nil {
			latest[string(r.Key)] = r.Offset
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = x.scan(ctx, x.staged, p, stagedEnd, func(r *log.Record) error {
		if at, stands := latest[string(r.Key)]; !stands || at != r.Offset {
			return nil
		}
		sum, there := shown[string(r.Key)]
		delete(shown, string(r.Key))
		if there && sum == maphash.Bytes(seed, r.Value) {
			return nil
		}
		return x.put(ctx, log.Record{Topic: x.shown, Partition: p, Key: r.Key, Value: r.Value, Headers: r.Headers})
	})
	if err != nil {
		return err
	}
	return x.remove(ctx, p, shown)
}

// sweep deletes from a partition what another version has made.
func (x *exchange) sweep(ctx context.Context, p int32, end int64) error {
	version := strconv.FormatUint(uint64(x.version), 10)
	old := make(map[string]uint64)
	err := x.scan(ctx, x.shown, p, end, func(r *log.Record) error {
		if delete(old, string(r.Key)); r.Value != nil && string(r.Header(log.HeaderProjectorVersion)) != version {
			old[string(r.Key)] = 0
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.remove(ctx, p, old)
}

// remove writes tombstones, which say that the root was not erased.
func (x *exchange) remove(ctx context.Context, p int32, roots map[string]uint64) error {
	signed := []log.Header{{Key: log.HeaderProjectorVersion, Value: strconv.AppendUint(nil, uint64(x.version), 10)}}
	for root := range roots {
		if err := x.put(ctx, log.Record{Topic: x.shown, Partition: p, Key: []byte(root), Headers: signed}); err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) put(ctx context.Context, r log.Record) error {
	if size := r.Size(); len(x.batch) == exchangeRecords || len(x.batch) > 0 && x.bytes+size > exchangeBytes {
		if err := x.flush(ctx); err != nil {
			return err
		}
	}
	x.batch = append(x.batch, r)
	x.bytes += r.Size()
	return nil
}

func (x *exchange) flush(ctx context.Context) error {
	if len(x.batch) == 0 {
		return nil
	}
	if err := x.steersman.put(ctx, x.batch); err != nil {
		return err
	}
	x.written += len(x.batch)
	clear(x.batch)
	x.batch, x.bytes = x.batch[:0], 0
	return nil
}
