// Package stock is a read model that a subscription keeps, and a command that is
// decided on what is there.
//
// Invariants:
//   - The model and the position up to which it was made are one file, replaced as
//     a whole: each event counts once, whatever crashes.
package stock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sync"

	"github.com/google/uuid"

	client "github.com/angzarr/angzarr-kafka/examples/client-go"
	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Model is how many pieces of each product can be had.
type Model struct {
	file client.File

	mu    sync.Mutex
	state state
}

type state struct {
	Position []byte
	Stock    map[uuid.UUID]int64
}

// Open reads a model; a file that isn't there is an empty one.
func Open(file string) (*Model, error) {
	m := &Model{file: client.File(file), state: state{Stock: make(map[uuid.UUID]int64)}}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &m.state)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return m, nil
}

// Stock is a copy of what the model says.
func (m *Model) Stock() map[uuid.UUID]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.state.Stock)
}

// Load is [client.Checkpoint]'s.
func (m *Model) Load() ([]byte, error) { return m.state.Position, nil }

// Save is [client.Checkpoint]'s: the model goes to the file together with the
// position.
func (m *Model) Save(position []byte) error {
	m.mu.Lock()
	m.state.Position = position
	content, err := json.Marshal(m.state)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.file.Save(content)
}

// Follow keeps the model until ctx ends.
func (m *Model) Follow(ctx context.Context, c *client.Client, domain string) error {
	return c.Subscribe(ctx, &angzarr.Query{Domain: domain}, m, m.take)
}

func (m *Model) take(book *angzarr.EventBook) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(book.Pages) == 0 && book.Erased == nil {
		return nil // it says how far the subscription is
	}
	root, err := uuid.FromBytes(book.GetCover().GetRoot().GetValue())
	if err != nil {
		return err
	}
	if book.Erased != nil {
		delete(m.state.Stock, root)
	}
	for _, page := range book.Pages {
		change, err := changeOf(page)
		if err != nil {
			return fmt.Errorf("page %d of %s: %w", page.GetNum(), root, err)
		}
		m.state.Stock[root] += change
	}
	return nil
}

// changeOf is by how much an event changes what can be had.
func changeOf(page *angzarr.EventPage) (int64, error) {
	event, err := page.GetEvent().UnmarshalNew()
	if err != nil {
		return 0, err
	}
	switch e := event.(type) {
	case *inventory.ProductCreated:
		return int64(e.Quantity), nil
	case *inventory.StockAdjusted:
		return int64(e.Delta), nil
	case *inventory.StockReserved:
		return -int64(e.Quantity), nil
	case *inventory.ReservationReleased:
		return int64(e.Quantity), nil
	}
	return 0, nil // an event that came to the domain later
}
