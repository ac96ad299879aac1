package frontdoor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// What a caller may be told of a command, after tries that may have applied it
// and after tries that have not.
func TestTruth(t *testing.T) {
	cover := &angzarr.Cover{Domain: "d"}
	for _, tc := range []struct {
		name         string
		err          error
		sure, doubts codes.Code
	}{
		{"a refusal", status.Error(codes.FailedPrecondition, "no"), codes.FailedPrecondition, codes.FailedPrecondition},
		{"broken logic", status.Error(codes.Internal, "boom"), codes.Internal, codes.Internal},
		{"not in time", status.Error(codes.DeadlineExceeded, "late"), codes.DeadlineExceeded, codes.Unavailable},
		{"hung up", status.Error(codes.Canceled, "bye"), codes.Canceled, codes.Unavailable},
		{"not let in", status.Error(codes.ResourceExhausted, "full"), codes.ResourceExhausted, codes.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantCode(t, (&parcel{id: "i"}).final(tc.err), tc.sure)
			err := (&parcel{id: "i", doubt: true}).final(tc.err)
			if st := wantCode(t, err, tc.doubts); tc.doubts == codes.Unavailable &&
				(!strings.Contains(st.Message(), `"i"`) || !strings.Contains(st.Message(), status.Convert(tc.err).Message())) {
				t.Errorf("%q names neither the id nor the reason", st.Message())
			}
		})
	}
	last := again{error: errors.New("no route")}
	wantCode(t, (&parcel{cover: cover}).gaveUp(context.DeadlineExceeded, last), codes.DeadlineExceeded)
	wantCode(t, (&parcel{cover: cover}).gaveUp(context.Canceled, last), codes.Canceled)
	wantCode(t, (&parcel{cover: cover, doubt: true}).gaveUp(context.DeadlineExceeded, last), codes.Unavailable)
	own := again{error: status.Error(codes.Unavailable, "logic is away"), own: true}
	if st := wantCode(t, (&parcel{doubt: true}).gaveUp(context.DeadlineExceeded, own), codes.Unavailable); st.Message() != "logic is away" {
		t.Errorf("a worker's own words became %q", st.Message())
	}
}

// The door's answer is there before the caller's own library gives up.
func TestAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, want := range map[time.Duration]time.Duration{
			time.Minute:            time.Minute - 60*time.Millisecond,
			100 * time.Millisecond: 90 * time.Millisecond,
			-time.Second:           -time.Second,
		} {
			caller, cancel := context.WithTimeout(t.Context(), left)
			ctx, cancel2 := answerInTime(caller)
			at, _ := ctx.Deadline()
			if got := time.Until(at); got != want {
				t.Errorf("with %v left the door stops after %v, want %v", left, got, want)
			}
			cancel2()
			cancel()
		}
		ctx, cancel := answerInTime(t.Context())
		defer cancel()
		if _, bounded := ctx.Deadline(); bounded {
			t.Error("a deadline was made up")
		}
	})
}

type panics struct {
	angzarr.UnimplementedBusinessCoordinatorServer
	angzarr.UnimplementedEventQueryServer
}

func (panics) Handle(context.Context, *angzarr.CommandBook) (*angzarr.SynchronousProcessingResponse, error) {
	panic("unary")
}

func (panics) GetEvents(*angzarr.Query, grpc.ServerStreamingServer[angzarr.EventBook]) error {
	panic("stream")
}

func TestPanicsEndTheCallOnly(t *testing.T) {
	var logged bytes.Buffer
	s := grpc.NewServer(Recover(slog.New(slog.NewTextHandler(&logged, nil)))...)
	angzarr.RegisterBusinessCoordinatorServer(s, panics{})
	angzarr.RegisterEventQueryServer(s, panics{})
	l := bufconn.Listen(1 << 16)
	go s.Serve(l)
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 {
		_, err = angzarr.NewBusinessCoordinatorClient(conn).Handle(t.Context(), &angzarr.CommandBook{})
		wantCode(t, err, codes.Internal)
		stream, err := angzarr.NewEventQueryClient(conn).GetEvents(t.Context(), &angzarr.Query{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantCode(t, err, codes.Internal)
	}
	s.Stop()
	for _, want := range []string{"panic=unary", "panic=stream", "/angzarr.EventQuery/GetEvents", "truth_test.go"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, &logged)
		}
	}
}

func TestSometimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		s := sometimes{log: slog.New(slog.NewTextHandler(&logged, nil))}
		for range 3 {
			s.warn("a", "about a")
			s.warn("b", "about b")
		}
		time.Sleep(saidAgain)
		s.warn("a", "about a")
		if n := strings.Count(logged.String(), "\n"); n != 3 {
			t.Errorf("%d lines:\n%s", n, &logged)
		}
		for i := range 10 * mostSaid {
			s.warn(fmt.Sprint(i), "about many")
		}
		if len(s.said) > mostSaid {
			t.Errorf("%d keys are remembered", len(s.said))
		}
	})
}
