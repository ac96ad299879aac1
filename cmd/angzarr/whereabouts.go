package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"text/tabwriter"
)

// whereabouts prints what a development process has put where.
func (p *process) whereabouts(out io.Writer, data string) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "front door\t%s\tgRPC, with reflection: angzarr.BusinessCoordinator, angzarr.EventQuery\n", p.door.Addr())
	for _, l := range p.logics {
		if l.domain != "" {
			fmt.Fprintf(table, "business logic\t%s\tof the domain %s\n", l.address, l.domain)
			continue
		}
		kind, name, _ := strings.Cut(l.title, " ")
		fmt.Fprintf(table, "%s\t%s\t%s\n", kind, l.address, name)
	}
	fmt.Fprintf(table, "Kafka\t%s\tembedded, for development: one copy of the data\n", strings.Join(p.cluster.Brokers, ","))
	fmt.Fprintf(table, "\t\tdata %s\n", data)
	fmt.Fprintf(table, "metrics\thttp://%s/metrics\n", p.admin.Addr())
	table.Flush()
}

// serverFlag is what send and events need to find this process.
func (p *process) serverFlag() string {
	if address := p.door.Addr().String(); address != defaultServer {
		return " --server " + address
	}
	return ""
}

// program is how to run this program once more, from the same directory.
func program() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	if !strings.Contains(path, "go-build") {
		return quoted(os.Args[0])
	}
	// `go run` has built it somewhere in a cache.
	if _, err := os.Stat(filepath.Join("cmd", "angzarr", "main.go")); err == nil {
		return "go run ./cmd/angzarr"
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return "go run " + info.Path + "@" + info.Main.Version
	}
	return quoted(path)
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if strings.ContainsAny(path, " '\"$\\&;()*?<>|`") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
