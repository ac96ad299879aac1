package schema

import (
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// compile makes descriptors of .proto sources, their imports included. Sources
// are by path; those under testdata are there too.
func compile(t testing.TB, sources map[string]string, files ...string) *descriptorpb.FileDescriptorSet {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"shop.proto", "money.proto"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(content)
	}
	maps.Copy(all, sources)
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(all),
	})}
	compiled, err := compiler.Compile(context.Background(), files...)
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range compiled {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
		for i := range f.Imports().Len() {
			set.File = append(set.File, protodesc.ToFileDescriptorProto(f.Imports().Get(i)))
		}
	}
	return set
}

// shop are the types of testdata/shop.proto, from a descriptor set.
func shop(t testing.TB) *Types {
	t.Helper()
	types, err := FromDescriptorSets(write(t, compile(t, nil, "shop.proto")))
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func write(t testing.TB, set *descriptorpb.FileDescriptorSet) string {
	t.Helper()
	content, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "set.binpb")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// serveLogic starts a service that has the files of set. How it tells them is up
// to register.
func serveLogic(t testing.TB, set *descriptorpb.FileDescriptorSet, register func(*grpc.Server, reflection.ServerOptions)) *grpc.ClientConn {
	t.Helper()
	files, err := closed(set.GetFile())
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	register(s, reflection.ServerOptions{Services: s, DescriptorResolver: files})
	return serve(t, s)
}

func v1(s *grpc.Server, options reflection.ServerOptions) {
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(options))
}

func v1alpha(s *grpc.Server, options reflection.ServerOptions) {
	reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(options))
}

// fileByFile tells one file at a time, without what it imports, and ends the
// stream at the first thing it doesn't have, as Rust's tonic does.
func fileByFile(s *grpc.Server, options reflection.ServerOptions) {
	reflectionv1.RegisterServerReflectionServer(s, oneFileServer{files: options.DescriptorResolver.(*protoregistry.Files)})
}

func serve(t testing.TB, s *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	return dial(t, listener)
}

func dial(t testing.TB, listener *bufconn.Listener) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:bufnet",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// mentions fails unless err says all of what.
func mentions(t *testing.T, err error, what ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that mentions %q", what)
	}
	for _, w := range what {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not mention %q", err, w)
		}
	}
}
