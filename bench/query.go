package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/angzarr/angzarr-kafka/log"
)

// QueryOptions say what of the read path to measure.
type QueryOptions struct {
	Binary      string   `json:"-"`
	Brokers     []string `json:"brokers,omitempty"` // none means the embedded one
	Redis       string   `json:"redis,omitempty"`   // none means snapshots.type: memory
	Partitions  int32    `json:"partitions"`
	Replication int16    `json:"replication"`

	Aggregates  int           `json:"aggregates"`
	Pages       int           `json:"pages"` // of each aggregate
	Long        int           `json:"long"`  // pages of one more aggregate
	Size        int           `json:"size"`  // of a page's payload
	Callers     int           `json:"callers"`
	Subscribers int           `json:"subscribers"` // of single roots
	Duration    time.Duration `json:"duration"`    // of what is asked again and again

	Log   *slog.Logger `json:"-"`
	Child bool         `json:"-"`
}

// Check names the first option that makes no sense.
func (o QueryOptions) Check() error {
	for _, p := range []struct {
		name  string
		value int64
	}{
		{"partitions", int64(o.Partitions)}, {"replication", int64(o.Replication)}, {"aggregates", int64(o.Aggregates)},
		{"pages", int64(o.Pages)}, {"long", int64(o.Long)}, {"size", int64(o.Size)}, {"callers", int64(o.Callers)},
		{"subscribers", int64(o.Subscribers)}, {"duration", int64(o.Duration)},
	} {
		if p.value < 1 {
			return fmt.Errorf("%s: %d, must be positive", p.name, p.value)
		}
	}
	if o.Subscribers > o.Aggregates {
		return fmt.Errorf("subscribers: %d, must be no more than the %d aggregates", o.Subscribers, o.Aggregates)
	}
	return nil
}

// Figure is one that was measured.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// QueryReport is what a run gave.
type QueryReport struct {
	Date    time.Time    `json:"date"`
	Machine string       `json:"machine"`
	Command string       `json:"command"`
	Options QueryOptions `json:"options"`
	Figures []Figure     `json:"figures"`
}

// WriteText prints the figures.
func (r *QueryReport) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "%s\n%s, %s\n\n", r.Command, r.Machine, r.Date.Format(time.DateOnly))
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, f := range r.Figures {
		fmt.Fprintf(table, "%s\t%.2f\t%s\n", f.Name, f.Value, f.Unit)
	}
	return table.Flush()
}

// queries is one run of the read path.
type queries struct {
	QueryOptions
	domain log.Domain
	roots  []uuid.UUID
	long   uuid.UUID
	child  *child
	conns  []*grpc.ClientConn
	report *QueryReport
}

// RunQuery fills a domain of its own, has a fresh process serve it, and measures
// what it answers. Every answer is checked: pages that are missing, or in another
// order, are an error instead of a figure.
func RunQuery(ctx context.Context, o QueryOptions) (report *QueryReport, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	q := &queries{QueryOptions: o, long: uuid.New(), report: &QueryReport{
		Date: time.Now().UTC().Truncate(time.Second), Machine: machine(), Command: "angzarr " + strings.Join(os.Args[1:], " "), Options: o,
	}}
	if len(o.Brokers) == 0 {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		defer cluster.Close()
		q.Brokers, q.Replication = cluster.ListenAddrs(), 1
	}
	client, err := kgo.NewClient(clientOptions(q.Brokers)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	name := "bench-query-" + uuid.NewString()[:8]
	defer func() {
		err = errors.Join(err, deleteTopics(context.WithoutCancel(ctx), kadm.NewClient(client), name))
	}()
	if q.domain, err = log.EnsureDomain(ctx, client, name, log.TopicSettings{Partitions: q.Partitions, ReplicationFactor: q.Replication}); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := q.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill the domain: %w", err)
	}
	q.add("filled", float64(q.total())/time.Since(begun).Seconds(), "pages/s")
	folder, err := os.MkdirTemp("", "angzarr-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	driving, died := context.WithCancelCause(ctx)
	defer died(nil)
	if err := q.serve(driving, folder, died); err != nil {
		return nil, errors.Join(err, context.Cause(driving))
	}
	err = q.measure(driving)
	if err != nil && driving.Err() != nil {
		err = context.Cause(driving)
	}
	for _, conn := range q.conns {
		conn.Close()
	}
	return q.report, errors.Join(err, q.child.stop())
}

// bare is how many of the roots have no snapshot: the first ones.
func (q *queries) bare() int { return q.Aggregates - q.Aggregates/10 }

func (q *queries) total() int { return q.Aggregates*q.Pages + q.Long }

func (q *queries) add(name string, value float64, unit string) {
	q.report.Figures = append(q.report.Figures, Figure{name, value, unit})
	q.Log.Info("measured", "what", name, "value", value, "unit", unit)
}

// serve starts the process, and waits until its shelf is complete.
func (q *queries) serve(ctx context.Context, folder string, died func(error)) error {
	logic := &logic{snapshotEvery: 1 << 30}
	address, stop, err := logic.serve("127.0.0.1:0")
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, stop)
	addresses, err := freeAddresses(2)
	if err != nil {
		return err
	}
	d := &deployment{side: SideOurs, domain: q.domain.Name, front: addresses[0], logic: address}
	config, err := d.serveConfig(Options{Brokers: q.Brokers, Redis: q.Redis, Partitions: q.Partitions, Replication: q.Replication}, addresses[1])
	if err != nil {
		return err
	}
	file := filepath.Join(folder, "angzarr.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	begun := time.Now()
	if q.child, err = start(q.Child, died, q.Binary, "serve", "--config", file); err != nil {
		return err
	}
	for range 10 {
		conn, err := grpc.NewClient(d.front, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		q.conns = append(q.conns, conn)
	}
	waiting, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	if err := d.ready(waiting); err != nil {
		return err
	}
	// A command for each partition is answered once the partition was taken over,
	// and so its shelf brought to the end.
	if err := q.touchAll(waiting); err != nil {
		return err
	}
	q.add("taken over", time.Since(begun).Seconds(), "s")
	return nil
}

// WriteJSON prints the report for programs.
func (r *QueryReport) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
