package schema

import (
	"errors"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// FromDescriptorSets reads FileDescriptorSets, as `protoc --include_imports
// --descriptor_set_out` and `buf build -o` write them. The error names the files
// that could not be read; the types of all others are there nevertheless.
func FromDescriptorSets(files ...string) (*Types, error) {
	t := &Types{}
	var errs []error
	for _, file := range files {
		p, err := readDescriptorSet(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("descriptor set %s: %w", file, err))
			continue
		}
		t.sources = append(t.sources, p)
	}
	return t, errors.Join(errs...)
}

func readDescriptorSet(file string) (pool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err // the caller names the file
		}
		return pool{}, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(content, set); err != nil || len(set.GetFile()) == 0 {
		return pool{}, errors.New("it is no FileDescriptorSet; `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE.binpb` makes one")
	}
	linked, err := closed(set.GetFile())
	if err != nil {
		return pool{}, err
	}
	return pool{file, linked}, nil
}

// closed links files into a registry of their own. Imports that are not among
// them come from this program, where it has them (google/protobuf/…). What is
// missing even then is left open, so that the types that don't need it work.
func closed(files []*descriptorpb.FileDescriptorProto) (*protoregistry.Files, error) {
	set := &descriptorpb.FileDescriptorSet{}
	have := map[string]bool{}
	for _, f := range files {
		if !have[f.GetName()] {
			have[f.GetName()] = true
			set.File = append(set.File, f)
		}
	}
	for i := 0; i < len(set.File); i++ { // grows while it is walked
		for _, path := range set.File[i].GetDependency() {
			if have[path] {
				continue
			}
			have[path] = true
			if fd, err := protoregistry.GlobalFiles.FindFileByPath(path); err == nil {
				set.File = append(set.File, protodesc.ToFileDescriptorProto(fd))
			}
		}
	}
	return protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
}
