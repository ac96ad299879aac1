package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// quietFor is how long something may take without a word about it.
	quietFor = time.Second
	// Where a line can be written over it is written anew this often, elsewhere
	// there is a new line so often.
	redrawEvery, tellEvery = 100 * time.Millisecond, 10 * time.Second
)

// progress says how far something is that takes longer than a second.
type progress struct {
	out      io.Writer
	terminal bool
	unit     string // what is counted: "records"
	total    int64  // 0 if it is not known

	mu     sync.Mutex
	begun  time.Time
	shown  time.Time
	drawn  bool // a line stands on the terminal
	latest int64
}

func newProgress(out io.Writer, unit string, total int64) *progress {
	return &progress{out: out, terminal: isTerminal(out), unit: unit, total: total, begun: time.Now()}
}

// at says that so much is done.
func (p *progress) at(done int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest = done
	now, every := time.Now(), tellEvery
	if p.terminal {
		every = redrawEvery
	}
	if now.Sub(p.begun) < quietFor || now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	text := progressText(p.unit, done, p.total, now.Sub(p.begun))
	if p.terminal {
		p.drawn = true
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// end takes the line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		p.drawn = false
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// progressText is one line: a bar, how much of how much, how fast, and how long
// it will take yet.
func progressText(unit string, done, total int64, took time.Duration) string {
	rate := float64(done) / max(took.Seconds(), 0.001)
	if total <= 0 {
		return fmt.Sprintf("%s %s, %s/s", grouped(done), unit, grouped(int64(rate)))
	}
	done = min(done, total)
	const width = 24
	full := int(done * width / total)
	text := fmt.Sprintf("[%s%s] %3d %%  %s of %s %s, %s/s", strings.Repeat("#", full), strings.Repeat(".", width-full),
		done*100/total, grouped(done), grouped(total), unit, grouped(int64(rate)))
	if rate > 0 && done < total {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", max(left, time.Second).Round(time.Second))
	}
	return text
}

// grouped writes a number as people read it: 1,204,000.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
