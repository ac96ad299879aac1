package frontdoor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

// A door holds no more calls for others than it is allowed to, whichever way they
// go; what it turns away is written nowhere, and each end makes room.
func TestRoom(t *testing.T) {
	t.Parallel()
	for name, withPeers := range map[string]bool{"to peers": true, "by the topic": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held := make(chan struct{})
			w := newWorld(t, holding(held))
			var peers *Peers
			if withPeers {
				peers = strangers()
				w.owns(w.process("127.0.0.1:0", insecure.NewCredentials()).worker)
			} else {
				worker, _ := w.worker(partitioning.NewIdentity(""))
				w.owns(worker)
			}
			door := w.door(peers)
			const most = 3
			door.room.most = most
			var calls []<-chan result
			for i := range most {
				calls = append(calls, w.call(w.within(20*time.Second), door, w.command(uuid.New(), fmt.Sprint(i), "x")))
			}
			w.until("the door is full", func() bool { return door.room.taken.Load() == most })
			_, err := door.Handle(w.within(20*time.Second), w.command(uuid.New(), "too many", "x"))
			if st := wantCode(t, err, codes.ResourceExhausted); !strings.Contains(st.Message(), "limits.waiting") {
				t.Errorf("%q does not name the limit", st.Message())
			}
			close(held)
			for _, c := range calls {
				if r := <-c; r.err != nil {
					t.Error(r.err)
				}
			}
			if n := door.room.taken.Load(); n != 0 {
				t.Errorf("%d places are taken by nobody", n)
			}
			if _, err := door.Handle(w.within(20*time.Second), w.command(uuid.New(), "later", "x")); err != nil {
				t.Error(err)
			}
			if pages := len(logtest.ReadCommitted(t, w.broker.Cluster, log.EventsTopic(w.domain.Name))); pages != most+1 {
				t.Errorf("%d pages of %d commands", pages, most+1)
			}
		})
	}
}

// A call that may have been applied is not told that it was turned away.
func TestNoRoomInDoubt(t *testing.T) {
	p := &parcel{id: "it", doubt: true}
	wantCode(t, p.final((&room{}).enter(p)), codes.Unavailable)
	p = &parcel{id: "it"}
	wantCode(t, p.final((&room{}).enter(p)), codes.ResourceExhausted)
}

// holding is echo that answers once it may.
func holding(until <-chan struct{}) logicFunc {
	return func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		select {
		case <-until:
			return echo(ctx, c)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
