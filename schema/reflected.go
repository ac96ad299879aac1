package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	// patience bounds one look-up at one backend; who asks a front door gives it
	// the time to ask its backends.
	patience = time.Second
	// respite is how long a server that could not be asked is left alone: a dead
	// one costs its time once, not for each name.
	respite = time.Second
	// freshness is how long an answer serves again: shorter than it takes to
	// restart a service with new types, longer than a page of events.
	freshness = 5 * time.Second
	// mostAnswers bounds the memory that callers' made-up names can take.
	mostAnswers = 1000
	// mostFiles bounds what a broken server can make us fetch for one name.
	mostFiles = 1000
)

// FromReflection asks the server behind conn for types when they are needed, by
// gRPC server reflection (v1, or v1alpha where that is all there is). Nothing is
// asked yet; where is the server's name in errors, its address say.
func FromReflection(conn grpc.ClientConnInterface, where string) *Types {
	return &Types{sources: []source{newReflected(conn, where, 3*patience)}}
}

// reflected is a server that is asked for types by reflection. Each answer is a
// set of files of its own; it serves until it is stale, and beyond that while
// the server is away.
type reflected struct {
	name     string
	conn     grpc.ClientConnInterface
	patience time.Duration

	mu      sync.Mutex
	answers map[question]answer
	failed  answer // the last try, if the server could not be asked
	method  string // the version of reflection that the server speaks
}

// question is a symbol's full name, or a file's path.
type question struct {
	symbol protoreflect.FullName
	path   string
}

type answer struct {
	files *protoregistry.Files
	err   error // protoregistry.NotFound where the server has no such thing
	at    time.Time
}

// The two versions have the same messages under different names.
const (
	methodV1      = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	methodV1Alpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
)

func newReflected(conn grpc.ClientConnInterface, name string, patience time.Duration) *reflected {
	return &reflected{name: name, conn: conn, patience: patience, answers: map[question]answer{}, method: methodV1}
}

func (r *reflected) where() string { return r.name }

func (r *reflected) find(ctx context.Context, name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d := r.sibling(name); d != nil {
		return d, nil
	}
	files, err := r.files(ctx, question{symbol: name})
	if err != nil {
		return nil, err
	}
	return files.FindDescriptorByName(name)
}

func (r *reflected) file(ctx context.Context, path string) (protoreflect.FileDescriptor, error) {
	files, err := r.files(ctx, question{path: path})
	if err != nil {
		return nil, err
	}
	return files.FindFileByPath(path)
}

// sibling finds name in the fresh answers to other questions: a file's types are
// mostly asked for one after another.
func (r *reflected) sibling(name protoreflect.FullName) protoreflect.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.answers {
		if a.files == nil || !fresh(a, freshness) {
			continue
		}
		if d, err := a.files.FindDescriptorByName(name); err == nil {
			return d
		}
	}
	return nil
}

// messages are the types of the files that were fetched, and of those in which
// the namesakes of name are likely to be: servers don't list what they have.
func (r *reflected) messages(ctx context.Context, name protoreflect.FullName) []string {
	if pkg := string(name.Parent()); pkg != "" {
		dir := strings.ReplaceAll(pkg, ".", "/")
		last := lastPart(pkg)
		for _, path := range slices.Compact([]string{dir + ".proto", dir + "/" + last + ".proto", "proto/" + last + ".proto"}) {
			// Only what it adds to the answers matters.
			_, _ = r.files(ctx, question{path: path})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, a := range r.answers {
		if a.files != nil {
			names = append(names, messageNames(a.files)...)
		}
	}
	return names
}

// files answers q from memory where that is fresh, else from the server.
func (r *reflected) files(ctx context.Context, q question) (*protoregistry.Files, error) {
	r.mu.Lock()
	old, failed, method := r.answers[q], r.failed, r.method
	r.mu.Unlock()
	if fresh(old, freshness) {
		return old.files, old.err
	}
	if !fresh(failed, respite) {
		files, err := r.asked(ctx, method, q)
		if err == nil || err == protoregistry.NotFound || ctx.Err() != nil {
			return files, err
		}
		failed = answer{err: err, at: time.Now()}
		r.mu.Lock()
		r.failed = failed
		r.mu.Unlock()
	}
	if old.files != nil {
		return old.files, nil // a server that restarts keeps its types until it is back
	}
	return nil, failed.err
}

func fresh(a answer, limit time.Duration) bool {
	return !a.at.IsZero() && time.Since(a.at) <= limit
}

// asked asks the server, in the version of reflection that it speaks, and keeps
// what it answers.
func (r *reflected) asked(ctx context.Context, method string, q question) (*protoregistry.Files, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	files, err := ask(ctx, r.conn, method, q)
	if status.Code(err) == codes.Unimplemented {
		method = other(method)
		files, err = ask(ctx, r.conn, method, q)
	}
	if err != nil && err != protoregistry.NotFound {
		return nil, r.reason(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.method = method
	if len(r.answers) >= mostAnswers {
		clear(r.answers)
	}
	r.answers[q] = answer{files, err, time.Now()}
	return files, err
}

func other(method string) string {
	if method == methodV1 {
		return methodV1Alpha
	}
	return methodV1
}

// ask gets the files that answer q, and all that they import.
func ask(ctx context.Context, conn grpc.ClientConnInterface, method string, q question) (*protoregistry.Files, error) {
	got, err := exchange(ctx, conn, method, q)
	if err != nil {
		return nil, err
	}
	// Some servers send the file alone and want to be asked for its imports.
	have := map[string]bool{}
	for _, f := range got {
		have[f.GetName()] = true
	}
	for i := 0; i < len(got) && len(got) < mostFiles; i++ { // grows while it is walked
		for _, path := range got[i].GetDependency() {
			if have[path] {
				continue
			}
			have[path] = true
			more, err := exchange(ctx, conn, method, question{path: path})
			if err == protoregistry.NotFound {
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, f := range more {
				if f.GetName() == path || !have[f.GetName()] {
					have[f.GetName()] = true
					got = append(got, f)
				}
			}
		}
	}
	return closed(got)
}

// exchange puts one question on a stream of its own: on a longer one some servers
// leave out the files that they sent before, and some end it at the first symbol
// that they don't have.
func exchange(ctx context.Context, conn grpc.ClientConnInterface, method string, q question) ([]*descriptorpb.FileDescriptorProto, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	raw, err := conn.NewStream(ctx, &reflectionpb.ServerReflection_ServiceDesc.Streams[0], method)
	if err != nil {
		return nil, err
	}
	stream := &grpc.GenericClientStream[reflectionpb.ServerReflectionRequest, reflectionpb.ServerReflectionResponse]{ClientStream: raw}
	request := &reflectionpb.ServerReflectionRequest{}
	if q.path != "" {
		request.MessageRequest = &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: q.path}
	} else {
		request.MessageRequest = &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: string(q.symbol)}
	}
	// A send that fails says io.EOF; the reason comes with the receipt.
	_ = stream.Send(request)
	response, err := stream.Recv()
	if status.Code(err) == codes.NotFound {
		return nil, protoregistry.NotFound
	}
	if err != nil {
		return nil, err
	}
	if e := response.GetErrorResponse(); e != nil {
		if codes.Code(e.GetErrorCode()) == codes.NotFound {
			return nil, notFound(e.GetErrorMessage())
		}
		return nil, status.Error(codes.Code(e.GetErrorCode()), e.GetErrorMessage())
	}
	var files []*descriptorpb.FileDescriptorProto
	for _, content := range response.GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(content, f); err != nil {
			return nil, fmt.Errorf("its descriptors cannot be read: %w", plain(err))
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, protoregistry.NotFound
	}
	return files, nil
}

// Behind a front door "not found" may hide that a service could not be asked.
// It says so after this mark, and the caller should see it.
const notAsked = "not asked: "

func notFound(message string) error {
	if _, why, ok := strings.Cut(message, notAsked); ok {
		return errors.New(printable(why))
	}
	return protoregistry.NotFound
}

// reason is why the server could not tell, in a line.
func (r *reflected) reason(err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	switch s.Code() {
	case codes.Unimplemented:
		return errors.New("it has no gRPC reflection")
	case codes.DeadlineExceeded:
		return fmt.Errorf("no answer within %v", r.patience)
	default:
		return errors.New(printable(s.Message()))
	}
}
