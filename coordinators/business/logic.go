package business

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// notice is how long before its deadline a caller is told why.
const notice = 50 * time.Millisecond

// contextual makes a ContextualCommand of an open book and a command, most of
// which are bytes already. cover is what [coverBefore] gives.
func contextual(cover []byte, book *snapshots.Book, c *command) encoded {
	const events, order = 1, 2 // the fields of ContextualCommand
	inner := len(cover) + len(c.root) + book.Size()
	request := requests.Get(inner + len(c.encoded) + len(c.ids) + 24)
	b := (*request)[:0]
	b = protowire.AppendTag(b, events, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = append(append(b, cover...), c.root[:]...)
	b = book.AppendTo(b)
	b = protowire.AppendTag(b, order, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(c.encoded)+len(c.ids)))
	*request = append(append(b, c.encoded...), c.ids...)
	return encoded{mem.NewBuffer(request, requests)}
}

// requests are where encoded messages come from, and go back to once gRPC has
// sent them.
var requests = mem.DefaultBufferPool()

// coverBefore is an EventBook with nothing but a cover, without the root's 16
// bytes, which are its last.
func coverBefore(domain string) []byte {
	b := mustMarshal(&angzarr.EventBook{Cover: coverOf(domain, log.Root{})})
	return b[:len(b)-len(log.Root{})]
}

// logic calls the business logic of one domain.
type logic struct {
	conn    grpc.ClientConnInterface
	limit   int           // bytes of an answer
	timeout time.Duration // of a call
	options []grpc.CallOption
}

func newLogic(conn grpc.ClientConnInterface, domain string, limit int) logic {
	return logic{conn: conn, limit: limit, timeout: calls.Timeout, options: []grpc.CallOption{
		grpc.ForceCodecV2(codec{domain}), grpc.MaxCallRecvMsgSize(limit), grpc.MaxCallSendMsgSize(64 << 20), grpc.StaticMethod(),
	}}
}

// ask calls BusinessLogic.Handle once. The status is nil if it answered.
func (l *logic) ask(ctx context.Context, traceparent string, request encoded) (*angzarr.EventBook, *status.Status) {
	if traceparent != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
	}
	var answered answered
	size := request.Len()
	err := l.conn.Invoke(ctx, angzarr.BusinessLogic_Handle_FullMethodName, request, &answered, l.options...)
	switch {
	case err == nil:
		return answered.book, nil
	case context.Cause(ctx) == calls.ErrHung:
		return nil, status.New(codes.DeadlineExceeded, calls.ErrHung.Error())
	}
	return nil, l.explain(status.Convert(err), size)
}

// explain tells what is too large, and would be so again, from a service that is
// overloaded. gRPC has one code for both, and says only in its text which of
// the two messages it was.
func (l *logic) explain(st *status.Status, request int) *status.Status {
	if !calls.TooLarge(st) {
		return st
	}
	if strings.Contains(st.Message(), fmt.Sprintf("(%d vs.", request)) {
		return withReason(codes.ResourceExhausted, reasonTooLarge, nil,
			"open book and command together are larger than business logic's server takes: "+st.Message())
	}
	return withReason(codes.ResourceExhausted, reasonTooLarge, nil,
		fmt.Sprintf("business logic's answer is larger than limits.answer allows (%d bytes)", l.limit))
}

const reasonTooLarge = "TOO_LARGE"

// ended says why nobody waits for the command any more, if it is so. A server
// may be faster than our own clock to say that its caller's time is over.
func (c *command) ended(st *status.Status) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	at, bounded := c.ctx.Deadline()
	if bounded && st.Code() == codes.DeadlineExceeded && time.Until(at) < notice {
		return context.DeadlineExceeded
	}
	return nil
}

// fate says what to do with a command that business logic did not accept.
type fate int

const (
	refuse fate = iota // it said no: the caller gets its status
	retry              // it could not be reached, or had too much to do
	broken             // it broke: a polled command becomes a dead letter
)

// fateOf reads the status table of the contract.
func fateOf(st *status.Status) fate {
	switch st.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.FailedPrecondition, codes.OutOfRange, codes.Aborted, codes.Unauthenticated, codes.Unknown:
		return refuse
	case codes.Unavailable:
		return retry
	case codes.ResourceExhausted:
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == errorDomain && info.Reason == reasonTooLarge {
				return broken
			}
		}
		return retry
	}
	return broken
}

// encoded is a message that is bytes already.
type encoded struct{ mem.Buffer }

// answered is where an answer goes.
type answered struct{ book *angzarr.EventBook }

// codec has messages as bytes on one side, and answers of a domain on the other.
type codec struct{ domain string }

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{v.(encoded).Buffer}, nil
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) (err error) {
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	v.(*answered).book, err = readAnswer(c.domain, buf.ReadOnlyData())
	return err
}
