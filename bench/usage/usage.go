// Package usage reads what a process has taken of the machine.
package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage of a process: zero where there is no /proc, as on macOS.
type Usage struct {
	CPU       time.Duration
	RSS, Peak int64 // bytes
}

// Of a process, by its id.
func Of(pid int) Usage {
	var u Usage
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		// The name, in parentheses, may hold anything; user and system time are
		// the 12th and 13th field after it, in ticks of 1/100 s.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 12 {
			user, _ := strconv.ParseInt(fields[11], 10, 64)
			system, _ := strconv.ParseInt(fields[12], 10, 64)
			u.CPU = time.Duration(user+system) * 10 * time.Millisecond
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.RSS = kilobytes << 10
		case "VmHWM":
			u.Peak = kilobytes << 10
		}
	}
	return u
}

// MiB is bytes in the unit in which people read them.
func MiB(bytes int64) float64 { return float64(bytes) / (1 << 20) }
