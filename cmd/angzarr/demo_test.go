package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	summary "github.com/angzarr/angzarr-kafka/examples/proto/inventorysummary"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func TestDemo(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"demo"}, nil, &stdout, &stderr); got != exitDone || stderr.Len() > 0 {
		t.Fatalf("exit status %d\n%s%s", got, &stdout, &stderr)
	}
	for _, want := range []string{
		"refused: FAILED_PRECONDITION: stock of \"CHAIR\" is short",
		"refused: FAILED_PRECONDITION: stock of \"TABLE\" is short",
		`inventory.StockAdjusted  {"delta":20,"reason":"delivery","stock":{"sku":"LAMP","onHand":27,"reserved":0}}`,
		`OrderConfirmed`,
		`order.OrderRejected  {"reason":"stock of \"CHAIR\" is short`,
		`inventorysummary.ProductSummary  {"sku":"LAMP","onHand":27,"reserved":3,"available":24}`,
		"Checked: angzarr.inventory.events and angzarr.order.events hold exactly these 12 pages",
		"Checked: the saga's 3 commands and the rejection of one of them are in their topics once",
		"demo --keep",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("does not say %q:\n%s", want, &stdout)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left %v behind (%v)", left, err)
	}
}

// The demo's exit status would mean nothing if a wrong log didn't change it.
func TestDemoFindsAWrongLog(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		spoil      func(*spoiler) log.Record
	}{
		{"a page too many", "page 5, inventory.StockAdjusted, must not be there", func(s *spoiler) log.Record { return s.page(5) }},
		{"a number twice", "page 2 stands where page 5 must be", func(s *spoiler) log.Record { return s.page(2) }},
		{"a gap", "page 9 stands where page 5 must be", func(s *spoiler) log.Record { return s.page(9) }},
		{"an erased page", "and no page", func(s *spoiler) log.Record {
			r := s.page(2)
			r.Value = nil
			return r
		}},
		{"an order with two outcomes", "page 3, inventory.StockAdjusted, must not be there", func(s *spoiler) log.Record {
			return s.pageOf(s.orders[1], 3)
		}},
		{"a command of the saga twice", "is in angzarr.inventory.commands 2 times", func(s *spoiler) log.Record {
			return s.command(demoSaga + "/" + orderDomain + "/" + s.orders[0].root.String() + "/1/0")
		}},
		{"a command that no event led to", "/1/1 must not be there", func(s *spoiler) log.Record {
			return s.command(demoSaga + "/" + orderDomain + "/" + s.orders[0].root.String() + "/1/1")
		}},
		{"a wrong summary", "the projection of LAMP is {", func(s *spoiler) log.Record { return s.projection(4, 99) }},
		{"the summary of another page", "of page 5, and must be", func(s *spoiler) log.Record { return s.projection(5, 27) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spoil := func(ctx context.Context, s *stage) error {
				if err := s.wait(); err != nil {
					return err
				}
				record := tc.spoil(&spoiler{s, t})
				return s.writer.Write(ctx, &record)
			}
			var stdout, stderr bytes.Buffer
			args := []string{"--data", t.TempDir()}
			got := execute(t.Context(), newDemoCommand(&demo{beforeCheck: spoil}), args, nil, &stdout, &stderr)
			if got != exitFailed || !strings.Contains(stderr.String(), "the log is wrong") || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit status %d, want %d and %q:\n%s%s", got, exitFailed, tc.want, &stdout, &stderr)
			}
			if strings.Contains(stdout.String(), "Checked") {
				t.Errorf("says that it has checked the log:\n%s", &stdout)
			}
		})
	}
}

// spoiler makes records that must not be there.
type spoiler struct {
	*stage
	t *testing.T
}

func (s *spoiler) page(sequence uint32) log.Record { return s.pageOf(s.products[0], sequence) }

func (s *spoiler) pageOf(a *aggregate, sequence uint32) log.Record {
	adjusted := s.pack(&stock.StockAdjusted{Delta: 1})
	page := log.Page{Root: a.root, Sequence: sequence, TypeURL: adjusted.TypeUrl, Value: adjusted.Value}
	return page.Encode(a.domain, partitioning.Of(a.root, s.partitions[a.domain]))
}

// command is one for the LAMP. It is refused, so that it changes no book.
func (s *spoiler) command(id string) log.Record {
	lamp := s.products[0]
	return log.Record{
		Topic: log.CommandsTopic(stockDomain), Partition: partitioning.Of(lamp.root, s.partitions[stockDomain]), Key: lamp.root[:],
		Value: s.marshal(&pb.CommandBook{
			Cover: &pb.Cover{Domain: stockDomain, Root: &pb.UUID{Value: lamp.root[:]}}, CommandId: id,
			Pages: []*pb.CommandPage{{Command: s.pack(&stock.CreateProduct{Sku: "LAMP"})}},
		}),
	}
}

func (s *spoiler) projection(sequence, onHand uint32) log.Record {
	lamp := s.products[0]
	left := &summary.ProductSummary{Sku: "LAMP", OnHand: onHand, Reserved: 3, Available: onHand - 3}
	return log.Record{
		Topic: log.ProjectionsTopic(demoProjector), Partition: partitioning.Of(lamp.root, s.partitions[stockDomain]), Key: lamp.root[:],
		Value: s.marshal(&pb.Projection{Sequence: sequence, Projection: s.pack(left)}),
	}
}

func (s *spoiler) pack(m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return packed
}

func (s *spoiler) marshal(m proto.Message) []byte {
	value, err := proto.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}

// With --keep the lines that it prints work as pasted, and the data stays.
func TestDemoKeep(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, "demo", "--keep", "--data", "kept")
	send := r.wait(t, `^  (angzarr send .*)$`)[1]
	events := r.wait(t, `^  (angzarr events .*)$`)[1]
	if got := pasted(t, send); !strings.Contains(got, `5  `) || !strings.Contains(got, "inventory.StockReserved") {
		t.Errorf("%s\n%s", send, got)
	}
	if got := pasted(t, events); strings.Count(got, "inventory.Stock") != 4 {
		t.Errorf("%s\n%s", events, got)
	}
	ship := r.wait(t, `^  (angzarr send order .*)$`)[1]
	if got := pasted(t, ship); !strings.Contains(got, "order.OrderShipped") {
		t.Errorf("%s\n%s", ship, got)
	}
	r.stop(t, syscall.SIGINT)

	// A second demo on the same data is right too.
	again := start(t, dir, "demo", "--data", "kept")
	again.wait(t, "^Checked: ")
	again.end(t)
}

// pasted runs a line as a shell does.
func pasted(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func TestCompare(t *testing.T) {
	created, adjusted := &stock.ProductCreated{Sku: "A"}, &stock.StockAdjusted{Delta: 1}
	pages := func(numbers []uint32, events ...proto.Message) (book []*pb.EventPage) {
		for i, event := range events {
			packed, err := anypb.New(event)
			if err != nil {
				t.Fatal(err)
			}
			book = append(book, &pb.EventPage{Sequence: &pb.EventPage_Num{Num: numbers[i]}, Event: packed})
		}
		return book
	}
	both := []proto.Message{created, adjusted}
	for _, tc := range []struct {
		name string
		got  []*pb.EventPage
		want string
	}{
		{"right", pages([]uint32{1, 2}, both...), ""},
		{"nothing", nil, "page 1 is missing"},
		{"the last is missing", pages([]uint32{1}, created), "page 2 is missing"},
		{"one too many", pages([]uint32{1, 2, 3}, created, adjusted, adjusted), "page 3, inventory.StockAdjusted, must not be there"},
		{"a number twice", pages([]uint32{1, 1}, both...), "page 1 stands where page 2 must be"},
		{"another event", pages([]uint32{1, 2}, created, &stock.StockAdjusted{Delta: 2}), "page 2 is {delta:2}"},
		{"another type", pages([]uint32{1, 2}, adjusted, adjusted), "page 1 is "},
		{"no known type", []*pb.EventPage{{Sequence: &pb.EventPage_Num{Num: 1}, Event: &anypb.Any{TypeUrl: "x/y.Z"}}}, "page 1 can't be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := compare(both, tc.got)
			if got := errorText(err); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
