package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const order = `{"customer_id": "c", "total": {"currency": "EUR", "amount": 5}}`

func TestFromReflection(t *testing.T) {
	for name, register := range map[string]func(*grpc.Server, reflection.ServerOptions){
		"v1": v1, "v1alpha": v1alpha, "a file at a time": fileByFile,
	} {
		t.Run(name, func(t *testing.T) {
			types := FromReflection(serveLogic(t, compile(t, nil, "shop.proto"), register), "logic")
			if _, err := types.Encode(t.Context(), "shop.PlaceOrder", []byte(order)); err != nil {
				t.Fatal(err)
			}
			_, err := types.Encode(t.Context(), "shop.PlaceOder", []byte(order))
			mentions(t, err, "did you mean shop.PlaceOrder?")
		})
	}
}

func TestUnknownTypeSuggestsFromLikelyFiles(t *testing.T) {
	types := FromReflection(serveLogic(t, compile(t, nil, "shop.proto"), v1), "logic")
	_, err := types.Find(t.Context(), "shop.PlaceOrdr") // nothing was asked before
	mentions(t, err, "did you mean shop.PlaceOrder?")
}

func TestServerWithoutReflection(t *testing.T) {
	types := FromReflection(serve(t, grpc.NewServer()), "logic at :50051")
	_, err := types.Find(t.Context(), "shop.PlaceOrder")
	mentions(t, err, "unknown type shop.PlaceOrder", "logic at :50051: it has no gRPC reflection")
}

func TestFrontDoorListsItsOwnServicesOnly(t *testing.T) {
	door := frontDoor(t, Backend{"logic", serveLogic(t, compile(t, nil, "shop.proto"), v1)})
	got, err := talk(t, door, &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range got.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	want := []string{
		"angzarr.BusinessCoordinator", "angzarr.EventQuery",
		"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestFrontDoorTellsTypesOfItsBackends(t *testing.T) {
	door := frontDoor(t,
		Backend{"logic shop", serveLogic(t, compile(t, nil, "shop.proto"), v1)},
		Backend{"logic stock", serveLogic(t, compile(t, map[string]string{
			"stock.proto": `syntax = "proto3"; package stock; message Count { uint32 n = 1; }`,
		}, "stock.proto"), v1alpha)},
	)
	types := FromReflection(door, "front door")
	for typ, text := range map[string]string{
		"shop.PlaceOrder": order, "stock.Count": `{"n": 1}`, "angzarr.Cover": `{"domain": "d"}`,
	} {
		if _, err := types.Encode(t.Context(), typ, []byte(text)); err != nil {
			t.Error(err)
		}
	}
	got, err := talk(t, door, &reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: "shop.proto"},
	})
	if err != nil || len(got.GetFileDescriptorResponse().GetFileDescriptorProto()) < 2 {
		t.Errorf("shop.proto by its name: %v, %v", got, err)
	}
}

// Two teams wrote a common.proto each. Both stay readable.
func TestFilesOfOneNameDoNotClash(t *testing.T) {
	team := func(pkg, field string) *grpc.ClientConn {
		return serveLogic(t, compile(t, map[string]string{
			"common.proto": fmt.Sprintf(`syntax = "proto3"; package common; message Note { string %s = 1; }`, field),
			pkg + ".proto": fmt.Sprintf(`syntax = "proto3"; package %[1]s; import "common.proto"; message Do { common.Note note = 1; }`, pkg),
		}, pkg+".proto"), v1)
	}
	types := FromReflection(frontDoor(t, Backend{"a", team("a", "text")}, Backend{"b", team("b", "body")}), "front door")
	for typ, text := range map[string]string{"a.Do": `{"note": {"text": "x"}}`, "b.Do": `{"note": {"body": "x"}}`} {
		if _, err := types.Encode(t.Context(), typ, []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// People start from an example that is linked into the program, and change it.
func TestBackendsWinOverLinkedTypes(t *testing.T) {
	changed := compile(t, map[string]string{
		"google/rpc/error_details.proto": `syntax = "proto3"; package google.rpc; message ErrorInfo { string changed = 1; }`,
	}, "google/rpc/error_details.proto")
	types := FromReflection(frontDoor(t, Backend{"logic", serveLogic(t, changed, v1)}), "front door")
	if _, err := types.Encode(t.Context(), "google.rpc.ErrorInfo", []byte(`{"changed": "yes"}`)); err != nil {
		t.Error(err)
	}
}

func TestBackendThatBreaks(t *testing.T) {
	broken := grpc.NewServer()
	reflectionv1.RegisterServerReflectionServer(broken, garbageServer{})
	door := frontDoor(t,
		Backend{"broken", serve(t, broken)},
		Backend{"no reflection", serve(t, grpc.NewServer())},
		Backend{"shop", serveLogic(t, compile(t, nil, "shop.proto"), v1)},
	)
	types := FromReflection(door, "front door")
	if _, err := types.Find(t.Context(), "shop.PlaceOrder"); err != nil {
		t.Error(err)
	}
	_, err := types.Find(t.Context(), "shop.Nothing")
	mentions(t, err, "front door: broken: its descriptors cannot be read", "no reflection: it has no gRPC reflection")
}

func TestSilentBackendCostsASecondAtMost(t *testing.T) {
	silent := dial(t, bufconn.Listen(1)) // nobody accepts
	door := frontDoor(t, Backend{"silent", silent}, Backend{"shop", serveLogic(t, compile(t, nil, "shop.proto"), v1)})
	types := FromReflection(door, "front door")

	start := time.Now()
	if _, err := types.Find(t.Context(), "shop.PlaceOrder"); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 800*time.Millisecond {
		t.Errorf("a type that another backend has took %v", took)
	}
	// Nobody but the silent one can have it: it is waited for, and not again for
	// the next name.
	start = time.Now()
	_, err := types.Find(t.Context(), "shop.Nothing")
	mentions(t, err, "front door: silent: no answer within 1s")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a type that nobody has took %v", took)
	}
}

// A service that comes late, goes, and comes back with other types.
func TestBackendThatRestarts(t *testing.T) {
	b := &restarting{}
	r := newReflected(b, "logic", patience)
	later := func() { // makes the answers stale
		r.mu.Lock()
		defer r.mu.Unlock()
		for q, a := range r.answers {
			a.at = a.at.Add(-2 * freshness)
			r.answers[q] = a
		}
		r.failed = answer{}
	}
	has := func(field protoreflect.Name) bool {
		t.Helper()
		d, err := r.find(t.Context(), "stock.Count")
		if err != nil {
			t.Fatal(err)
		}
		return d.(protoreflect.MessageDescriptor).Fields().ByName(field) != nil
	}
	stock := func(field string) *grpc.ClientConn {
		return serveLogic(t, compile(t, map[string]string{
			"stock.proto": `syntax = "proto3"; package stock; message Count { uint32 ` + field + ` = 1; }`,
		}, "stock.proto"), v1)
	}

	if _, err := r.find(t.Context(), "stock.Count"); err == nil {
		t.Fatal("found before it was there")
	}
	later()
	b.conn = stock("n")
	if !has("n") {
		t.Error("not found when it had come")
	}
	b.conn = nil
	later()
	if !has("n") {
		t.Error("forgotten while it was away")
	}
	later()
	b.conn = stock("m")
	if !has("m") {
		t.Error("the old type outlived the new one")
	}
}

func TestMadeUpNamesTakeBoundedMemory(t *testing.T) {
	r := newReflected(serveLogic(t, compile(t, nil, "shop.proto"), v1), "logic", patience)
	for i := range mostAnswers + 10 {
		if _, err := r.find(t.Context(), protoreflect.FullName(fmt.Sprintf("made.Up%d", i))); err != protoregistry.NotFound {
			t.Fatal(err)
		}
	}
	if n := len(r.answers); n > mostAnswers {
		t.Errorf("%d answers are kept", n)
	}
}

func TestDescriptorSets(t *testing.T) {
	good := write(t, compile(t, nil, "shop.proto"))

	t.Run("a bad one hides no good one", func(t *testing.T) {
		types, err := FromDescriptorSets("missing.binpb", good)
		mentions(t, err, "descriptor set missing.binpb: no such file")
		if _, err := types.Find(t.Context(), "shop.PlaceOrder"); err != nil {
			t.Error(err)
		}
	})
	t.Run("something else", func(t *testing.T) {
		_, err := FromDescriptorSets("schema_test.go")
		mentions(t, err, "schema_test.go: it is no FileDescriptorSet", "--include_imports")
	})
	t.Run("without imports", func(t *testing.T) {
		set := compile(t, nil, "shop.proto")
		types, err := FromDescriptorSets(write(t, &descriptorpb.FileDescriptorSet{File: set.File[:1]}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := types.Encode(t.Context(), "shop.PlaceOrder", []byte(`{"wantedAt": "2026-01-31T12:00:00Z"}`)); err != nil {
			t.Error(err)
		}
		_, err = types.Encode(t.Context(), "shop.PlaceOrder", []byte(order))
		mentions(t, err, "total: its type money.Money is not in what described the message", "--include_imports")
		payload, err := shop(t).Encode(t.Context(), "shop.PlaceOrder", []byte(order))
		if err != nil {
			t.Fatal(err)
		}
		if got := types.Render(t.Context(), payload, ""); !strings.Contains(got, "bytes in fields that the type does not have") {
			t.Errorf("hides what it cannot read: %s", got)
		}
	})
}

// frontDoor serves two of the contract's services and reflection.
func frontDoor(t *testing.T, backends ...Backend) *grpc.ClientConn {
	t.Helper()
	s := grpc.NewServer()
	pb.RegisterBusinessCoordinatorServer(s, pb.UnimplementedBusinessCoordinatorServer{})
	pb.RegisterEventQueryServer(s, pb.UnimplementedEventQueryServer{})
	Register(s, backends...)
	return serve(t, s)
}

func talk(t *testing.T, conn *grpc.ClientConn, request *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		return nil, err
	}
	if err := stream.Send(request); err != nil {
		return nil, err
	}
	return stream.Recv()
}

// restarting is a connection to a service that is there at times.
type restarting struct{ conn *grpc.ClientConn }

func (r *restarting) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return errors.New("not used")
}

func (r *restarting) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if r.conn == nil {
		return nil, status.Error(codes.Unavailable, "connection refused")
	}
	return r.conn.NewStream(ctx, desc, method, opts...)
}

type garbageServer struct {
	reflectionv1.UnimplementedServerReflectionServer
}

func (garbageServer) ServerReflectionInfo(stream reflectionv1.ServerReflection_ServerReflectionInfoServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return stream.Send(&reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{
		FileDescriptorResponse: &reflectionv1.FileDescriptorResponse{FileDescriptorProto: [][]byte{{0xff}}},
	}})
}

type oneFileServer struct {
	reflectionv1.UnimplementedServerReflectionServer
	files *protoregistry.Files
}

func (s oneFileServer) ServerReflectionInfo(stream reflectionv1.ServerReflection_ServerReflectionInfoServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return nil
		}
		fd, err := s.files.FindFileByPath(request.GetFileByFilename())
		if d, symbolErr := s.files.FindDescriptorByName(protoreflect.FullName(request.GetFileContainingSymbol())); symbolErr == nil {
			fd, err = d.ParentFile(), nil
		}
		if err != nil {
			return status.Error(codes.NotFound, "no such thing")
		}
		content, err := proto.Marshal(protodesc.ToFileDescriptorProto(fd))
		if err != nil {
			return err
		}
		if err := stream.Send(&reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{
			FileDescriptorResponse: &reflectionv1.FileDescriptorResponse{FileDescriptorProto: [][]byte{content}},
		}}); err != nil {
			return err
		}
	}
}
