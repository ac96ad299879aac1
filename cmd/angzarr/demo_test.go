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
		"Checked: angzarr.inventory.events holds exactly these 6 pages",
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
	adjusted, err := anypb.New(&stock.StockAdjusted{Delta: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		sequence uint32
		erase    bool
		want     string
	}{
		{"a page too many", 4, false, "page 4, inventory.StockAdjusted, must not be there"},
		{"a number twice", 2, false, "page 2 stands where page 4 must be"},
		{"a gap", 9, false, "page 9 stands where page 4 must be"},
		{"an erased page", 2, true, "and no page"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spoil := func(ctx context.Context, s *stage) error {
				root := s.products[0].root
				page := log.Page{Root: root, Sequence: tc.sequence, TypeURL: adjusted.TypeUrl, Value: adjusted.Value}
				record := page.Encode(demoDomain, partitioning.Of(root, s.partitions))
				if tc.erase {
					record.Value = nil
				}
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

// With --keep the lines that it prints work as pasted, and the data stays.
func TestDemoKeep(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, "demo", "--keep", "--data", "kept")
	send := r.wait(t, `^  (angzarr send .*)$`)[1]
	events := r.wait(t, `^  (angzarr events .*)$`)[1]
	if got := pasted(t, send); !strings.Contains(got, `4  `) || !strings.Contains(got, "inventory.StockReserved") {
		t.Errorf("%s\n%s", send, got)
	}
	if got := pasted(t, events); strings.Count(got, "inventory.Stock") != 3 {
		t.Errorf("%s\n%s", events, got)
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
