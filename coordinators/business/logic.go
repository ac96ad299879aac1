package business

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// logicTimeout bounds one call of business logic, so that a service that hangs
// holds a root for so long and no longer.
const logicTimeout = 30 * time.Second

// contextual makes a ContextualCommand of an open book and a command, all of
// which are bytes already.
func contextual(cover []byte, book *snapshots.Book, command []byte) []byte {
	const events, order = 1, 2 // the fields of ContextualCommand
	inner := len(cover) + book.Size()
	b := make([]byte, 0, inner+len(command)+16)
	b = protowire.AppendTag(b, events, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = append(b, cover...)
	b = book.AppendTo(b)
	b = protowire.AppendTag(b, order, protowire.BytesType)
	return protowire.AppendBytes(b, command)
}

// logic calls the business logic of one domain.
type logic struct {
	conn  grpc.ClientConnInterface
	limit int // bytes of an answer
}

// ask calls BusinessLogic.Handle once. The status is nil if it answered.
func (l *logic) ask(ctx context.Context, traceparent string, request []byte) (*angzarr.EventBook, *status.Status) {
	ctx, cancel := context.WithTimeout(ctx, logicTimeout)
	defer cancel()
	if traceparent != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
	}
	answered := &angzarr.EventBook{}
	err := l.conn.Invoke(ctx, angzarr.BusinessLogic_Handle_FullMethodName, encoded(request), answered,
		grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(l.limit), grpc.MaxCallSendMsgSize(64<<20))
	if err != nil {
		return nil, l.explain(status.Convert(err))
	}
	return answered, nil
}

// explain tells an answer that is too large, which would be so again, from a
// service that is overloaded. grpc-go has one code for both.
func (l *logic) explain(st *status.Status) *status.Status {
	if st.Code() == codes.ResourceExhausted && strings.HasPrefix(st.Message(), "grpc: received message") {
		return withReason(codes.ResourceExhausted, reasonAnswerTooLarge, nil,
			fmt.Sprintf("business logic's answer is larger than limits.answer allows (%d bytes)", l.limit))
	}
	return st
}

const reasonAnswerTooLarge = "ANSWER_TOO_LARGE"

// fate says what to do with a command that business logic did not accept.
type fate int

const (
	refuse fate = iota // it said no: the caller gets its status
	retry              // it could not be reached, or had too much to do
	broken             // it broke: a polled command becomes a dead letter
)

// fateOf reads the status table of the contract. doubtful says that the polled
// command becomes a dead letter besides: a plain exception may be a bug.
func fateOf(st *status.Status) fate {
	switch st.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.FailedPrecondition, codes.OutOfRange, codes.Aborted, codes.Unauthenticated, codes.Unknown:
		return refuse
	case codes.Unavailable:
		return retry
	case codes.ResourceExhausted:
		for _, d := range st.Details() {
			if info, ok := d.(interface{ GetReason() string }); ok && info.GetReason() == reasonAnswerTooLarge {
				return broken
			}
		}
		return retry
	}
	return broken
}

// retryAfter is the pause before business logic is asked again.
func retryAfter(attempts int) time.Duration {
	const first, most = 20 * time.Millisecond, 2 * time.Second
	return min(most, first<<min(attempts, 10))
}

// encoded is a message that is bytes already.
type encoded []byte

// codec is gRPC's usual one, which besides takes encoded messages as they are.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return proto.Unmarshal(buf.ReadOnlyData(), v.(proto.Message))
}
