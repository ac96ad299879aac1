package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// TestExamplesTogether has the examples of each language, and a mixture of all,
// do the same. Those in Python and Rust need what examples/python/setup prints
// in ANGZARR_TEST_EXAMPLES_PYTHON, and the folder of the binaries that cargo has
// built in ANGZARR_TEST_EXAMPLES_RUST.
func TestExamplesTogether(t *testing.T) {
	for _, d := range []struct {
		name                            string
		inventory, order, saga, summary language
	}{
		{"Go", inGo, inGo, inGo, inGo},
		{"Python", inPython, inPython, inPython, inPython},
		{"Rust", inRust, inRust, inRust, inRust},
		{"logic in Go and Rust, a saga in Python, a projector in Rust", inGo, inRust, inPython, inRust},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			services := map[string]*service{
				"inventory": d.inventory(t, "inventory"), "order": d.order(t, "order"),
				"order-fulfillment": d.saga(t, "order-fulfillment"), "inventory-summary": d.summary(t, "inventory-summary"),
			}
			m := openStorefront(t, services)
			m.describes("inventory", "angzarr.BusinessLogic", "inventory.CreateProduct", "inventory.Product")
			m.describes("order", "angzarr.BusinessLogic", "order.PlaceOrder", "angzarr.RejectionNotification")
			m.describes("order-fulfillment", "angzarr.Saga", "order.RecordReservation", "inventory.ReserveStock")
			m.describes("inventory-summary", "angzarr.Projector", "inventorysummary.ProductSummary", "inventory.StockReserved")

			m.fulfils()
			m.rejectsWhatIsShort()
			m.takesBackWhatIsNotWanted()
			m.cancels()
			m.refuses()
			m.makesSnapshots()
			m.speaksJSON()
			m.leavesNoDeadLetters()

			m.process.stop(t, syscall.SIGTERM)
			for _, each := range services {
				each.stop(t)
			}
		})
	}
}

func (d doorOf) send(t *testing.T, domain string, root uuid.UUID, command proto.Message) {
	t.Helper()
	packed, err := anypb.New(command)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := d.Handle(ctx, &pb.CommandBook{
		Cover: &pb.Cover{Domain: domain, Root: &pb.UUID{Value: root[:]}},
		Pages: []*pb.CommandPage{{Command: packed}},
	}); err != nil {
		t.Fatal(err)
	}
}

// types waits until the aggregate's events are of these types.
func (d doorOf) types(t *testing.T, domain string, root uuid.UUID, want string) {
	t.Helper()
	var got string
	waitFor(t, domain+"/"+root.String()+": "+want, func() bool {
		var names []string
		for _, url := range strings.Split(d.says(t, t.Context(), domain, root), ", ") {
			names = append(names, url[strings.LastIndexByte(url, '.')+1:])
		}
		got = strings.Join(names, ", ")
		return got == want
	})
}
