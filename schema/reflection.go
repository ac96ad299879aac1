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
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Backend is a service whose types the front door tells its callers.
type Backend struct {
	// Name tells people which one it is: "business logic inventory".
	Name string
	Conn grpc.ClientConnInterface
}

// grace is how long a backend's answer waits for those of backends before it.
const grace = 100 * time.Millisecond

// Register adds server reflection, v1 and v1alpha, to the front door s. It lists
// what s serves, and nothing else; asked for a symbol or a file, it answers from
// what s serves, then from the backends, then from all that is linked into this
// program. Backends are asked when a name is met: they may come late, be away, or
// come back with other types. All are asked at once, and have a second.
//
// The linked types come last because people start from the examples' packages:
// theirs must win.
func Register(s reflection.GRPCServer, backends ...Backend) {
	m := &merged{own: sync.OnceValue(func() *protoregistry.Files { return served(s) })}
	for _, b := range backends {
		m.backends = append(m.backends, newReflected(b.Conn, b.Name, patience))
	}
	options := reflection.ServerOptions{Services: s, DescriptorResolver: m}
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(options))
	reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(options))
}

// merged resolves a front door's symbols and files.
type merged struct {
	own      func() *protoregistry.Files // known once s serves
	backends []*reflected
}

func (m *merged) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	return resolve(m, func(files *protoregistry.Files) (protoreflect.Descriptor, error) {
		return files.FindDescriptorByName(name)
	}, func(ctx context.Context, b *reflected) (protoreflect.Descriptor, error) {
		return b.find(ctx, name)
	})
}

func (m *merged) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	return resolve(m, func(files *protoregistry.Files) (protoreflect.FileDescriptor, error) {
		return files.FindFileByPath(path)
	}, func(ctx context.Context, b *reflected) (protoreflect.FileDescriptor, error) {
		return b.file(ctx, path)
	})
}

func resolve[T any](m *merged, local func(*protoregistry.Files) (T, error), remote func(context.Context, *reflected) (T, error)) (T, error) {
	if found, err := local(m.own()); err == nil {
		return found, nil
	}
	// The reflection server hands over no context; each backend has its patience.
	found, err := first(context.Background(), m.backends, remote)
	if err == nil {
		return found, nil
	}
	if linked, linkedErr := local(protoregistry.GlobalFiles); linkedErr == nil {
		return linked, nil
	}
	return found, err
}

// first asks all backends at once and returns the answer of the first one in
// order that has it; of one further back, if those before it keep silent for the
// grace.
func first[T any](ctx context.Context, backends []*reflected, ask func(context.Context, *reflected) (T, error)) (T, error) {
	type result struct {
		index int
		found T
		err   error
	}
	results := make(chan result, len(backends)) // nobody waits to send
	for i, b := range backends {
		go func() {
			found, err := ask(ctx, b)
			results <- result{i, found, err}
		}()
	}
	var none T
	failures := make([]string, len(backends)) // in order, so that errors read the same each time
	best := result{index: len(backends)}
	answered := make([]bool, len(backends))
	var enough <-chan time.Time
	for next := 0; next < min(best.index, len(backends)); {
		select {
		case r := <-results:
			answered[r.index] = true
			switch {
			case r.err == nil && r.index < best.index:
				best = r
				if enough == nil {
					enough = time.After(grace)
				}
			case r.err != nil && r.err != protoregistry.NotFound:
				failures[r.index] = fmt.Sprintf("%s: %v", backends[r.index].name, r.err)
			}
			for next < len(backends) && answered[next] {
				next++
			}
		case <-enough:
			return best.found, nil
		}
	}
	if best.index < len(backends) {
		return best.found, nil
	}
	if why := slices.DeleteFunc(failures, func(f string) bool { return f == "" }); len(why) > 0 {
		return none, errors.New(notAsked + strings.Join(why, "; "))
	}
	return none, protoregistry.NotFound
}

// served are the files of the services of s, and all that these import.
func served(s reflection.ServiceInfoProvider) *protoregistry.Files {
	files := &protoregistry.Files{}
	var add func(protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if _, err := files.FindFileByPath(fd.Path()); err == nil || fd.IsPlaceholder() {
			return
		}
		// All come from the global registry, which holds no two that clash.
		_ = files.RegisterFile(fd)
		for i := range fd.Imports().Len() {
			add(fd.Imports().Get(i).FileDescriptor)
		}
	}
	for name := range s.GetServiceInfo() {
		if d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name)); err == nil {
			add(d.ParentFile())
		}
	}
	return files
}
