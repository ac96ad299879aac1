package takeover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
)

// patience bounds every wait for what is bound to come.
const patience = 3 * time.Minute

// world is what all sections have in common.
type world struct {
	Options
	report  *Report
	cluster log.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	redis   *redis.Client
	folder  string
	id      string
	logic   string // its address

	domains []*domain
	large   *domain // made when it is asked for, as the next two
	small   *domain
	tiny    *domain
}

// Run measures what o says. A section that can't be measured, or a log that is
// not what callers were told, ends it with an error.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	w := &world{Options: o, report: &Report{Options: o}, id: uuid.NewString()[:8]}
	if len(w.Brokers) == 0 {
		embedded, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		defer embedded.Close()
		w.Brokers, w.Replication = embedded.ListenAddrs(), 1
	}
	if w.folder, err = os.MkdirTemp("", "angzarr-takeover-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(w.folder)
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	defer w.client.Close()
	defer w.redis.Close()
	defer func() { err = errors.Join(err, w.clean(context.WithoutCancel(ctx))) }()
	address, stop, err := serveLogic()
	if err != nil {
		return nil, err
	}
	defer stop()
	w.logic = address
	if err := w.sections(ctx); err != nil {
		return nil, err
	}
	return w.report, nil
}

func (w *world) connect(ctx context.Context) (err error) {
	w.cluster = log.Cluster{Brokers: w.Brokers}
	if err := w.cluster.Ping(ctx); err != nil {
		return err
	}
	w.redis = redis.NewClient(&redis.Options{Addr: w.Redis})
	if err := w.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("no Redis answers at %s: %w", w.Redis, err)
	}
	w.client, err = kgo.NewClient(append(w.cluster.Options("angzarr-bench"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(1<<20),
		kgo.MaxBufferedRecords(50_000),
	)...)
	if err == nil {
		w.admin = kadm.NewClient(w.client)
	}
	return err
}

// sections runs them, and audits the logs of all domains in the end.
func (w *world) sections(ctx context.Context) error {
	all := map[string]func(context.Context) error{
		"rebuild": w.rebuild, "kill": w.kill, "stop": w.stop, "restart": w.restart,
		"hang": w.hang, "cold": w.cold, "cost": w.cost, "shelf": w.shelf,
	}
	for _, section := range Sections {
		if !w.runs(section) {
			continue
		}
		w.Log.Info("section", "name", section)
		begun := time.Now()
		if err := all[section](ctx); err != nil {
			return fmt.Errorf("%s: %w", section, err)
		}
		w.Log.Info("done", "section", section, "took", time.Since(begun).Round(time.Second))
	}
	for _, d := range w.domains {
		if err := w.audit(ctx, d); err != nil {
			return fmt.Errorf("audit of %s: %w", d.name, err)
		}
		w.report.note("audit", d.what, fmt.Sprintf("%d pages and %d answered commands are in the log once", d.ledger.filled, len(d.ledger.acked)))
	}
	return nil
}
