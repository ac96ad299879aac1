package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// reflector is a client that was built without any proto: all that it knows of
// messages and methods, the front door has told it.
type reflector struct {
	*testing.T
	conn  grpc.ClientConnInterface
	files *protoregistry.Files
}

// learn asks for the files that hold these symbols, and all that they import.
func learn(t *testing.T, conn grpc.ClientConnInterface, symbols ...string) *reflector {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel() // a stream that stays open would hold up the process's end
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	set, have := &descriptorpb.FileDescriptorSet{}, make(map[string]bool)
	for _, symbol := range symbols {
		if err := stream.Send(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol},
		}); err != nil {
			t.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil || response.GetErrorResponse() != nil {
			t.Fatalf("%s: %v, %v", symbol, err, response.GetErrorResponse())
		}
		for _, content := range response.GetFileDescriptorResponse().FileDescriptorProto {
			file := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(content, file); err != nil {
				t.Fatal(err)
			}
			if !have[file.GetName()] {
				have[file.GetName()] = true
				set.File = append(set.File, file)
			}
		}
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	return &reflector{t, conn, files}
}

// call calls a method with a request in JSON, and gives its answer in JSON.
func (r *reflector) call(ctx context.Context, method, request string) (answer map[string]any) {
	r.Helper()
	d, err := r.files.FindDescriptorByName(protoreflect.FullName(method))
	if err != nil {
		r.Fatal(err)
	}
	m := d.(protoreflect.MethodDescriptor)
	types := dynamicpb.NewTypes(r.files)
	in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if err := (protojson.UnmarshalOptions{Resolver: types}).Unmarshal([]byte(request), in); err != nil {
		r.Fatal(err)
	}
	path := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	if err := r.conn.Invoke(ctx, path, in, out, grpc.WaitForReady(true)); err != nil {
		r.Fatal(err)
	}
	text, err := (protojson.MarshalOptions{Resolver: types}).Marshal(out)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		r.Fatal(err)
	}
	return answer
}

// Whoever knows an address can use what is behind it.
func TestDeploymentByReflection(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, peersOff, inventory.Register)
	client := learn(t, d.sidecar[0].conn, "angzarr.BusinessCoordinator", "inventory.CreateProduct", "inventory.ProductCreated")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	root := uuid.New()
	answer := client.call(ctx, "angzarr.BusinessCoordinator.Handle", fmt.Sprintf(`{
		"cover": {"domain": %q, "root": {"value": %q}},
		"pages": [{"command": {"@type": "type.googleapis.com/inventory.CreateProduct", "sku": "tea", "quantity": 7}}]
	}`, d.domain, base64.StdEncoding.EncodeToString(root[:])))
	book := answer["books"].([]any)[0].(map[string]any)
	page := book["pages"].([]any)[0].(map[string]any)
	event := page["event"].(map[string]any)
	if page["num"] != 1.0 || event["@type"] != "type.googleapis.com/inventory.ProductCreated" || event["sku"] != "tea" || event["quantity"] != 7.0 {
		t.Errorf("answered %v", answer)
	}
	if id, ok := book["commandId"].(string); !ok || id == "" {
		t.Errorf("the book has no command id: %v", book)
	}
	d.end()
}

//go:embed testdata/produce.py
var produceInPython string

// Records of another client library, whose partitioner is another one, end as
// exactly one event each, in the partition where it belongs.
func TestDeploymentTakesPythonsRecords(t *testing.T) {
	t.Parallel()
	python := os.Getenv("ANGZARR_TEST_PYTHON")
	if python == "" {
		t.Skip("needs a Python with confluent-kafka: set ANGZARR_TEST_PYTHON to what deploy/kafka/python prints")
	}
	d := deploy(t, 1, peersOff, withEcho)
	const n = 60
	var input strings.Builder
	var roots []log.Root
	for i := range n {
		root := log.Root(uuid.New())
		book := d.command(root, fmt.Sprint("python-", i))
		if i%2 == 0 {
			book.CommandId = "" // then it is named after where it was produced
		}
		value, err := proto.Marshal(book)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
		fmt.Fprintf(&input, "%x %x\n", root[:], value)
	}
	produced := d.python(python, input.String())

	ids := make([]string, n)
	misrouted := 0
	for i, at := range produced {
		ids[i] = fmt.Sprint("python-", i)
		if i%2 == 0 {
			ids[i] = fmt.Sprintf("%s/%d/%d", log.CommandsTopic(d.domain), at.partition, at.offset)
		}
		if at.partition != partitioning.Of(roots[i], 6) {
			misrouted++
		}
	}
	if misrouted == 0 {
		t.Error("no record lay in a wrong partition: nothing was tried")
	}
	var outcomes map[string]*pb.Outcome
	d.until("every record has an outcome", func() bool {
		outcomes = d.outcomes()
		return len(outcomes) >= n
	})
	found := d.pages()
	for i, id := range ids {
		if found[id] != (page1{roots[i], 1}) || outcomes[id].GetCode() != 0 || outcomes[id].GetFirstPage() != 1 {
			t.Errorf("%s: page %d of %s, outcome %v", id, found[id].number, found[id].root, outcomes[id])
		}
	}
	if len(found) != n || len(outcomes) != n {
		t.Errorf("%d records led to %d pages and %d outcomes", n, len(found), len(outcomes))
	}
	if dead := logtest.ReadCommitted(t, d.broker.Cluster, log.DeadLettersTopic(d.domain)); len(dead) > 0 {
		t.Errorf("%d records are dead letters", len(dead))
	}
	t.Logf("%d of %d records lay in a wrong partition", misrouted, n)
	d.end()
}

// place is where a record was written.
type place struct {
	partition int32
	offset    int64
}

// python produces records with confluent-kafka as it comes, and says where.
func (d *deployment) python(interpreter, input string) []place {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, "-c", produceInPython,
		strings.Join(d.broker.Cluster.Brokers, ","), log.CommandsTopic(d.domain))
	cmd.Stdin = strings.NewReader(input)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		d.Fatalf("%v\n%s", err, &failed)
	}
	places := make([]place, strings.Count(input, "\n"))
	if n := strings.Count(string(out), "\n"); n != len(places) {
		d.Fatalf("%d of %d records were produced:\n%s%s", n, len(places), out, &failed)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var i int
		var at place
		if _, err := fmt.Sscan(line, &i, &at.partition, &at.offset); err != nil {
			d.Fatalf("%q: %v", line, err)
		}
		places[i] = at
	}
	return places
}
