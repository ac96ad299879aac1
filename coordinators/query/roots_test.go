package query_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// roots gives how often each root was answered.
func (w *world) roots(meta ...string) (map[uuid.UUID]int, error) {
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	stream, err := w.query.GetAggregateRoots(metadata.AppendToOutgoingContext(ctx, meta...), &emptypb.Empty{})
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]int)
	for {
		root, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if root.Domain != w.domain.Name {
			w.Errorf("a root of domain %q", root.Domain)
		}
		found[uuid.UUID(root.Root.Value)]++
	}
}

func TestGetAggregateRoots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := make(map[uuid.UUID]bool)
	check := func(meta ...string) {
		t.Helper()
		found, err := w.roots(meta...)
		if err != nil || len(found) != len(want) {
			t.Fatalf("%d roots, %v; want %d", len(found), err, len(want))
		}
		for root, times := range found {
			if !want[root] || times != 1 {
				t.Errorf("root %s came %d times", root, times)
			}
		}
	}
	check()
	for range 3 {
		for range 20 {
			root := uuid.New()
			want[root] = true
			w.write(w.page(root, 1, "x"), w.page(root, 2, "x"), w.snapshotAt(root, 2), w.page(root, 3, "x"))
		}
		w.begin(w.page(uuid.New(), 1, "aborted"))
		w.end(kgo.TryAbort)
		check()
		check("angzarr-domain", w.domain.Name)
	}

	for name, tc := range map[string]struct {
		meta []string
		code codes.Code
		says string
	}{
		"unknown domain": {[]string{"angzarr-domain", "nowhere"}, codes.NotFound, "metadata angzarr-domain"},
		"two domains":    {[]string{"angzarr-domain", "a", "angzarr-domain", "b"}, codes.InvalidArgument, "metadata angzarr-domain"},
	} {
		_, err := w.roots(tc.meta...)
		if st := status.Convert(err); st.Code() != tc.code || !strings.Contains(st.Message(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
