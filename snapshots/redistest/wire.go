package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Wire is the way to a Redis, on which things get lost.
type Wire struct {
	target   string
	listener net.Listener

	mu     sync.Mutex
	fate   Fate
	passed int
	left   int // how many bytes still pass before it strikes
	conns  map[net.Conn]bool
}

// Fate is what becomes of what passes.
type Fate int

// The fates of a connection.
const (
	Passes      Fate = iota
	HangsUp          // connections end, new ones at once
	IsSilent         // nothing passes, and nothing ends
	LosesAnswer      // the first answer ends its connection instead
	TearsInTwo       // a request ends its connection after some of its bytes
)

// NewWire leads to target until the test ends.
func NewWire(t testing.TB, target string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{target: target, listener: l, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		l.Close()
		w.Set(HangsUp, 0)
	})
	go w.accept()
	return w
}

// Addr is where clients connect.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Set decides on what comes. after is how many bytes of requests still pass
// before it is torn in two.
func (w *Wire) Set(fate Fate, after int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fate, w.left = fate, after
	if fate == HangsUp || fate == Passes {
		for c := range w.conns {
			c.Close()
		}
		clear(w.conns)
	}
}

// Passed says how many bytes of requests have passed.
func (w *Wire) Passed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed
}

func (w *Wire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		hangsUp := w.fate == HangsUp
		if !hangsUp {
			w.conns[c] = true
		}
		w.mu.Unlock()
		if hangsUp {
			c.Close()
			continue
		}
		go w.lead(c)
	}
}

func (w *Wire) lead(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		defer s.Close()
		defer c.Close()
		io.Copy(through{s, w.request}, c)
	}()
	io.Copy(through{c, w.answer}, s)
}

// through is a writer that asks what becomes of what is written.
type through struct {
	to  net.Conn
	let func(n int) (pass int, goOn bool)
}

func (t through) Write(b []byte) (int, error) {
	pass, goOn := t.let(len(b))
	if _, err := t.to.Write(b[:pass]); err != nil {
		return 0, err
	}
	if !goOn {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func (w *Wire) request(n int) (pass int, goOn bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.fate {
	case IsSilent:
		return 0, true
	case TearsInTwo:
		if w.left -= n; w.left < 0 {
			w.fate = Passes
			return n + w.left, false
		}
	}
	w.passed += n
	return n, true
}

func (w *Wire) answer(n int) (pass int, goOn bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.fate {
	case IsSilent:
		return 0, true
	case LosesAnswer:
		w.fate = Passes
		return 0, false
	}
	return n, true
}
