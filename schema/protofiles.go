package schema

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// FromProtoFiles compiles .proto files. Imports are looked for in the folders that
// are given, then in the files' own; google/protobuf/… is there. The error has the
// place in the file of what is wrong.
func FromProtoFiles(ctx context.Context, folders []string, files ...string) (*Types, error) {
	if len(files) == 0 {
		return &Types{}, nil
	}
	paths := append([]string{}, folders...)
	var names []string
	for _, file := range files {
		name, inside := within(folders, file)
		if !inside {
			name = filepath.Base(file)
			paths = append(paths, filepath.Dir(file))
		}
		names = append(names, filepath.ToSlash(name))
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: paths})}
	compiled, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("read .proto files: %w", err)
	}
	all := &protoregistry.Files{}
	for _, file := range compiled {
		if err := register(all, file); err != nil {
			return nil, fmt.Errorf("read .proto files: %w", err)
		}
	}
	return &Types{sources: []source{pool{strings.Join(files, ", "), all}}}, nil
}

// within gives a file's name as seen from the first folder that holds it.
func within(folders []string, file string) (string, bool) {
	for _, folder := range folders {
		name, err := filepath.Rel(folder, file)
		if err == nil && name != ".." && !strings.HasPrefix(name, ".."+string(filepath.Separator)) {
			return name, true
		}
	}
	return "", false
}

// register adds a file, and all that it imports.
func register(all *protoregistry.Files, file protoreflect.FileDescriptor) error {
	if _, err := all.FindFileByPath(file.Path()); err == nil || file.IsPlaceholder() {
		return nil
	}
	if err := all.RegisterFile(file); err != nil {
		return err
	}
	for i := range file.Imports().Len() {
		if err := register(all, file.Imports().Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	return nil
}
