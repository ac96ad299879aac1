package main

import (
	"context"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"go.opentelemetry.io/otel/metric"
)

// shelve connects to the shelf, if there is one, and gives what keeps a domain's
// open books.
func (p *process) shelve(ctx context.Context, c *config.Config, meter metric.Meter) (func(log.Domain) *snapshots.Books, error) {
	limit := booksIn(c.Limits.Books) / max(1, len(c.BusinessLogic))
	if c.Snapshots.Type != config.SnapshotsRedis {
		return func(log.Domain) *snapshots.Books { return snapshots.NewBooks(limit) }, nil
	}
	metrics, err := snapshots.NewMetrics(meter)
	if err != nil {
		return nil, err
	}
	o, err := redisOptions(c.Snapshots)
	if err != nil {
		return nil, err
	}
	o.Metrics, o.Logger = metrics, p.log
	shelf, err := snapshots.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	p.shelf = shelf
	p.admin.troubles = append(p.admin.troubles, shelf.Trouble)
	p.closers = append(p.closers, shelf.Close)
	return func(domain log.Domain) *snapshots.Books { return shelf.Books(limit, domain) }, nil
}
