package frontdoor

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
)

// Whichever way a request to erase goes, its caller can't tell.
func TestErasureGoesAllWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	owner := w.process("127.0.0.1:0", insecure.NewCredentials())
	here := w.door(nil)
	here.c.Workers = map[string]*business.Worker{w.domain.Name: owner.worker}
	w.owns(owner.worker)
	for way, door := range map[string]*Door{"owner here": here, "peer": w.door(strangers()), "topic": w.door(nil)} {
		t.Run(way, func(t *testing.T) {
			ctx := w.within(20 * time.Second)
			root := uuid.New()
			for _, said := range []string{"a", "b"} {
				if _, err := door.Handle(ctx, w.command(root, said, said)); err != nil {
					t.Fatal(err)
				}
			}
			e := Erasure{Door: door}
			request := func() *angzarr.EraseRequest {
				return &angzarr.EraseRequest{Cover: w.command(root, "", "").Cover, Reason: "why"}
			}
			first, err := e.Erase(ctx, request())
			if err != nil {
				t.Fatal(err)
			}
			if got := first.Erased; got.GetLastSequence() != 2 || got.GetReason() != "why" || got.GetErasedAt() == nil {
				t.Errorf("answered %v", first)
			}
			again, err := e.Erase(ctx, request())
			if err != nil || !proto.Equal(again, first) {
				t.Errorf("again: %v, %v", again, err)
			}
			_, err = door.Handle(ctx, w.command(root, "a", "a"))
			if st := wantCode(t, err, codes.FailedPrecondition); !hasReason(st, business.ReasonErased) {
				t.Errorf("a command after it is refused with %v", st)
			}
			never := request()
			never.Cover.Root.Value = make([]byte, 16)
			_, err = e.Erase(ctx, never)
			wantCode(t, err, codes.NotFound)
			never.Cover.Root.Value = nil
			_, err = e.Erase(ctx, never)
			if st := wantCode(t, err, codes.InvalidArgument); !strings.HasPrefix(st.Message(), "cover.root: ") {
				t.Errorf("without a root: %s", st.Message())
			}
			elsewhere := request()
			elsewhere.Cover.Domain = "elsewhere"
			_, err = e.Erase(ctx, elsewhere)
			wantCode(t, err, codes.NotFound)
		})
	}
}

func TestLocalOnly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, method string
		from         net.Addr
		code         codes.Code
	}{
		{"an operator here", "/angzarr.Erasure/Erase", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, codes.OK},
		{"by IPv6", "/angzarr.Erasure/Erase", &net.TCPAddr{IP: net.IPv6loopback}, codes.OK},
		{"by a socket of this host", "/angzarr.Erasure/Erase", &net.UnixAddr{Name: "x"}, codes.OK},
		{"from elsewhere", "/angzarr.Erasure/Erase", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7)}, codes.PermissionDenied},
		{"from elsewhere, by another method", "/angzarr.Erasure/Verify", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7)}, codes.PermissionDenied},
		{"a caller elsewhere", "/angzarr.BusinessCoordinator/Handle", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7)}, codes.OK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: tc.from})
			wantCode(t, checkLocal(ctx, tc.method, []string{"angzarr.Erasure"}), tc.code)
		})
	}
}
