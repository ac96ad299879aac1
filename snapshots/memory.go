package snapshots

import (
	"context"
	"sync"
)

// memory is what the rebuilds of a process share: what its books have no need of.
type memory struct {
	mu      sync.Mutex
	chunks  int      // bytes that hold entries
	known   int      // bytes that hold what is known of rows
	writing int      // folds that are being written, and so give back what they hold
	users   int      // rebuilds
	spare   [][]byte // chunks, as long as there are rebuilds
	changed once
}

// holding is what one rebuild has of it.
type holding struct {
	*memory
	size    int        // of a chunk
	least   int        // what chunks may take, whatever books do
	free    func() int // what books leave
	patient bool       // it waits for what others give back

	// With mu held:
	chunks, known, writing int
}

func newMemory() *memory { return &memory{changed: once{c: make(chan struct{})}} }

func (m *memory) begin(b bounds, free func() int, patient bool) *holding {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users++
	return &holding{memory: m, size: b.chunk, least: b.fold, free: free, patient: patient}
}

// end gives back what is left.
func (h *holding) end() {
	h.mu.Lock()
	h.memory.chunks -= h.chunks
	h.memory.known -= h.known
	h.memory.writing -= h.writing
	if h.users--; h.users == 0 {
		h.spare = nil
	}
	h.mu.Unlock()
	h.changed.happened()
}

// take gives a chunk with room for n bytes. Nil without an error says that there is
// none, and none to wait for: who holds some has to write them.
func (h *holding) take(ctx context.Context, n int, holds bool) ([]byte, error) {
	n = max(n, h.size)
	for {
		next := h.changed.next()
		free := h.free()
		h.mu.Lock()
		// Where nobody holds any, somebody must be able to begin.
		ok := h.memory.chunks == 0 || h.memory.chunks+n <= h.least || h.memory.chunks+h.memory.known+n <= free
		wait := !holds || h.patient && h.memory.writing > 0
		var c []byte
		if ok {
			h.memory.chunks += n
			h.chunks += n
			if last := len(h.spare) - 1; last >= 0 && n == h.size {
				c, h.spare = h.spare[last], h.spare[:last]
			}
		}
		h.mu.Unlock()
		switch {
		case ok && c == nil:
			return make([]byte, 0, n), nil
		case ok || !wait:
			return c, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// back gives chunks back.
func (h *holding) back(chunks [][]byte) {
	if len(chunks) == 0 {
		return
	}
	h.mu.Lock()
	for _, c := range chunks {
		h.memory.chunks -= cap(c)
		h.chunks -= cap(c)
		if cap(c) == h.size {
			h.spare = append(h.spare, c[:0])
		}
	}
	h.mu.Unlock()
	h.changed.happened()
}

// knows says that so many bytes more are taken by what is known, for which there is
// always room.
func (h *holding) knows(n int) {
	h.mu.Lock()
	h.memory.known += n
	h.known += n
	h.mu.Unlock()
}

// writes says that so many folds more are being written.
func (h *holding) writes(n int) {
	h.mu.Lock()
	h.memory.writing += n
	h.writing += n
	h.mu.Unlock()
	h.changed.happened()
}
