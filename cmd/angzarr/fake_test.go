package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/angzarr/angzarr-kafka/schema"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// fakeFrontDoor is a front door without a log, so that transcripts can have it
// say whatever a front door may say. What it says hangs on the customer of a
// shop.PlaceOrder: "refused", "broke", "away" and "slow" are not served.
type fakeFrontDoor struct {
	pb.UnimplementedBusinessCoordinatorServer
	pb.UnimplementedEventQueryServer

	address string
	stop    func()
	set     *descriptorpb.FileDescriptorSet
	order   *dynamicpb.Message // a shop.PlaceOrder
	credit  *dynamicpb.Message // a shop.CreditExceeded

	onSlow func() // called when the "slow" customer has arrived

	mu    sync.Mutex
	books map[string][]*pb.EventPage
}

// oldRoot has events that are not all of known types.
const oldRoot = "550e8400-e29b-41d4-a716-446655440000"

func startFakeFrontDoor() (*fakeFrontDoor, error) {
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"testdata"}})}
	compiled, err := compiler.Compile(context.Background(), "shop.proto")
	if err != nil {
		return nil, err
	}
	files := compiled.AsResolver()
	message := func(i int) *dynamicpb.Message { return dynamicpb.NewMessage(compiled[0].Messages().Get(i)) }

	logic := grpc.NewServer()
	reflectionv1.RegisterServerReflectionServer(logic, reflection.NewServerV1(reflection.ServerOptions{Services: logic, DescriptorResolver: files}))
	logicAddress, err := listenAndServe(logic)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(logicAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}

	s := grpc.NewServer()
	f := &fakeFrontDoor{
		set:    &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(compiled[0])}},
		order:  message(0),
		credit: message(2),
		books: map[string][]*pb.EventPage{oldRoot: {
			page(1, "shop.OrderPlaced", "\x0a\x03ada"),
			page(2, "shop.OrderPacked", "\x0a\x03box"),
			page(3, "shop.OrderPlaced", "\x0a\x03ada\x78\x01"),
			{Sequence: &pb.EventPage_Num{Num: 4}, Event: &anypb.Any{TypeUrl: "x/evil\x1b[2J", Value: []byte{0xff}}},
			page(5, "shop.OrderPlaced", "\x0a\x0e<ada> \xe2\x80\xae\x1b[2Je"),
		}},
	}
	pb.RegisterBusinessCoordinatorServer(s, f)
	pb.RegisterEventQueryServer(s, f)
	f.register(s)
	schema.Register(s, schema.Backend{Name: "business logic shop", Conn: conn})
	f.address, err = listenAndServe(s)
	f.stop = func() {
		s.Stop()
		_ = conn.Close()
		logic.Stop()
	}
	return f, err
}

func listenAndServe(s *grpc.Server) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = s.Serve(listener) }()
	return listener.Addr().String(), nil
}

func page(number uint32, typeName, value string) *pb.EventPage {
	return &pb.EventPage{
		Sequence:  &pb.EventPage_Num{Num: number},
		CreatedAt: timestamppb.New(time.Date(2026, 1, 31, 12, 0, int(number), 0, time.UTC)),
		Event:     &anypb.Any{TypeUrl: "type.googleapis.com/" + typeName, Value: []byte(value)},
	}
}

func (f *fakeFrontDoor) writeDescriptorSet(file string) error {
	content, err := proto.Marshal(f.set)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

func (f *fakeFrontDoor) Handle(ctx context.Context, book *pb.CommandBook) (*pb.SynchronousProcessingResponse, error) {
	if book.GetCover().GetDomain() != "shop" {
		return nil, status.Errorf(codes.NotFound, "unknown domain %q; there are shop", book.GetCover().GetDomain())
	}
	if book.GetCommandId() == "" {
		return nil, status.Error(codes.InvalidArgument, "the command line makes an id")
	}
	order := proto.Clone(f.order).(*dynamicpb.Message)
	if err := proto.Unmarshal(book.GetPages()[0].GetCommand().GetValue(), order); err != nil {
		return nil, err
	}
	customer := order.Descriptor().Fields().ByNumber(1)
	switch order.Get(customer).String() {
	case "refused":
		credit := proto.Clone(f.credit).(*dynamicpb.Message)
		credit.Set(credit.Descriptor().Fields().ByNumber(1), order.Get(customer))
		return nil, refusalOf(status.New(codes.FailedPrecondition, "no more credit\x1b[2J"), credit)
	case "broke":
		return nil, status.Error(codes.Internal, "division by zero")
	case "away":
		return nil, status.Error(codes.Unavailable, "the owner went away")
	case "slow":
		if f.onSlow != nil {
			f.onSlow()
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.append(book)
}

// append adds a page, as a worker would.
func (f *fakeFrontDoor) append(book *pb.CommandBook) (*pb.SynchronousProcessingResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := rootText(book.GetCover().GetRoot())
	next := uint32(len(f.books[key]) + 1)
	if expected := book.GetPages()[0].GetSequence(); expected != 0 && expected != next {
		return nil, refusalOf(status.Newf(codes.Aborted, "the next page is %d, not %d", next, expected),
			&errdetails.ErrorInfo{Reason: "SEQUENCE_MISMATCH", Domain: "angzarr", Metadata: map[string]string{
				"expected": fmt.Sprint(expected), "actual": fmt.Sprint(next),
			}},
			&pb.EventBook{Cover: book.GetCover(), Pages: f.books[key]})
	}
	added := page(next, "shop.OrderPlaced", string(book.GetPages()[0].GetCommand().GetValue()))
	f.books[key] = append(f.books[key], added)
	return &pb.SynchronousProcessingResponse{Books: []*pb.EventBook{{
		Cover: book.GetCover(), Pages: []*pb.EventPage{added}, CommandId: book.GetCommandId(), CorrelationId: book.GetCorrelationId(),
	}}}, nil
}

func (f *fakeFrontDoor) GetEvents(query *pb.Query, stream grpc.ServerStreamingServer[pb.EventBook]) error {
	if query.GetDomain() != "shop" {
		return status.Errorf(codes.NotFound, "unknown domain %q; there are shop", query.GetDomain())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.books[rootText(query.GetRoot())] {
		if p.GetNum() < query.GetLowerBound() || query.GetUpperBound() != 0 && p.GetNum() > query.GetUpperBound() {
			continue
		}
		book := &pb.EventBook{Cover: &pb.Cover{Domain: query.GetDomain(), Root: query.GetRoot()}, Pages: []*pb.EventPage{p}}
		if err := stream.Send(book); err != nil {
			return err
		}
	}
	return nil
}

// refusalOf is a status with details, as an error.
func refusalOf(s *status.Status, details ...proto.Message) error {
	var old []protoadapt.MessageV1
	for _, d := range details {
		old = append(old, protoadapt.MessageV1Of(d))
	}
	with, err := s.WithDetails(old...)
	if err != nil {
		return err
	}
	return with.Err()
}
