package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a checkpoint in a file. A read model in a database keeps the position
// there instead, in the transaction that writes what was made of the book: then
// nothing is ever handled twice.
type File string

// Load reads the file.
func (f File) Load() ([]byte, error) {
	position, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return position, err
}

// Save replaces the file as a whole.
func (f File) Save(position []byte) error {
	next, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name())
	_, err = next.Write(position)
	if err := errors.Join(err, next.Sync(), next.Close()); err != nil {
		return fmt.Errorf("write %s: %w", next.Name(), err)
	}
	return os.Rename(next.Name(), string(f))
}
