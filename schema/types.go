// Package schema knows what payloads are. The runtime moves them as bytes and a
// name; people want to type and read JSON. What lies between is learned while
// it is needed, from whoever has the types:
//
//	descriptor sets ──┐
//	server reflection ┼─► Types ─► Encode: JSON → Any
//	linked types ─────┘          ► JSON, Render: Any → JSON
//
//	a client's reflection ─► front door ─┬─► its own services
//	                         (Register)  └─► business logic, asked on demand
//
// Payload types hang on no service, as they travel inside Any. So nothing can be
// listed beforehand: a name is looked up when it is met, and servers that are
// built the usual way answer for every type linked into them.
//
// Invariants:
//   - Sources never mix: each answer is a closed set of files. Two services with
//     different files of one name both stay readable.
//   - A source that is away, wrong or slow costs bounded time, and hides no other.
//   - Payloads of unknown type are shown as bytes; they are never an error.
package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Types finds message types by name in its sources, the first one first.
// It is safe for concurrent use.
type Types struct {
	sources []source
}

// source is one place that types come from.
type source interface {
	// find returns what has the name; protoregistry.NotFound (perhaps wrapped)
	// if the source answered and does not have it.
	find(ctx context.Context, name protoreflect.FullName) (protoreflect.Descriptor, error)
	// messages are the full names of the message types known by now that may
	// help who looked for name in vain.
	messages(ctx context.Context, name protoreflect.FullName) []string
	// where tells people which source it is.
	where() string
}

// Merge asks the sources of all in the given order. Nil is no source.
func Merge(all ...*Types) *Types {
	merged := &Types{}
	for _, t := range all {
		if t != nil {
			merged.sources = append(merged.sources, t.sources...)
		}
	}
	return merged
}

// Linked are the types compiled into this program.
func Linked() *Types {
	return &Types{sources: []source{pool{"linked types", protoregistry.GlobalFiles}}}
}

// Find returns the message type of a full name, or of an Any's type URL. The
// error is an *UnknownTypeError.
func (t *Types) Find(ctx context.Context, name string) (protoreflect.MessageType, error) {
	full := protoreflect.FullName(bareName(name))
	unknown := &UnknownTypeError{Name: string(full)}
	if !full.IsValid() {
		unknown.Reasons = append(unknown.Reasons, errors.New("this cannot be a type's name"))
		return nil, unknown
	}
	for _, s := range t.sources {
		d, err := s.find(ctx, full)
		switch md, ok := d.(protoreflect.MessageDescriptor); {
		case err == nil && ok:
			return dynamicpb.NewMessageType(md), nil
		case err == nil:
			unknown.Reasons = append(unknown.Reasons, fmt.Errorf("%s: it is no message", s.where()))
		case err != protoregistry.NotFound:
			unknown.Reasons = append(unknown.Reasons, fmt.Errorf("%s: %w", s.where(), err))
		}
	}
	var known []string
	for _, s := range t.sources {
		known = append(known, s.messages(ctx, full)...)
	}
	unknown.Nearest = nearest(string(full), known)
	return nil, unknown
}

// UnknownTypeError says that no source has a message type of that name.
type UnknownTypeError struct {
	Name string
	// Nearest are known names that may have been meant, the likeliest first.
	Nearest []string
	// Reasons are what sources said that could not be asked, or knew better.
	Reasons []error
}

func (e *UnknownTypeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "unknown type %s", printable(e.Name))
	if len(e.Nearest) > 0 {
		fmt.Fprintf(&b, "; did you mean %s?", strings.Join(e.Nearest, ", "))
	} else if !strings.Contains(e.Name, ".") {
		b.WriteString("; a type's full name has its package before it, as in inventory.CreateProduct")
	}
	for _, reason := range e.Reasons {
		fmt.Fprintf(&b, "\n  %v", reason)
	}
	return b.String()
}

// bareName is a type's name without the URL that an Any puts before it.
func bareName(name string) string {
	return name[strings.LastIndexByte(name, '/')+1:]
}

// pool is a source that is complete from the start.
type pool struct {
	name  string
	files *protoregistry.Files
}

func (p pool) where() string { return p.name }

func (p pool) find(_ context.Context, name protoreflect.FullName) (protoreflect.Descriptor, error) {
	return p.files.FindDescriptorByName(name)
}

func (p pool) messages(context.Context, protoreflect.FullName) []string {
	return messageNames(p.files)
}

// messageNames are the full names of all messages in files, nested ones too,
// sorted.
func messageNames(files *protoregistry.Files) []string {
	var names []string
	var add func(protoreflect.MessageDescriptors)
	add = func(mds protoreflect.MessageDescriptors) {
		for i := range mds.Len() {
			if md := mds.Get(i); !md.IsMapEntry() {
				names = append(names, string(md.FullName()))
				add(md.Messages())
			}
		}
	}
	files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		add(fd.Messages())
		return true
	})
	slices.Sort(names)
	return names
}
