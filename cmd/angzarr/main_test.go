package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestExitStatus(t *testing.T) {
	door, err := startFakeFrontDoor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.stop)
	t.Setenv("ANGZARR_SERVER", door.address)

	for _, tc := range []struct {
		name string
		args []string
		want int
	}{
		{"done", []string{"send", "shop", "new", "shop.PlaceOrder", "{}"}, exitDone},
		{"help", []string{"--help"}, exitDone},
		{"nothing asked", nil, exitDone},
		{"never written", []string{"events", "shop", "0198c6e2-0000-7000-8000-000000000001"}, exitDone},
		{"refused", []string{"send", "shop", "new", "shop.PlaceOrder", `{"customer_id": "refused"}`}, exitFailed},
		{"no server", []string{"events", "shop", oldRoot, "--server", "127.0.0.1:1"}, exitUnknown},
		{"no broker", []string{"lag", "--brokers", "127.0.0.1:1"}, exitUnknown},
		{"the owner went away", []string{"send", "shop", "new", "shop.PlaceOrder", `{"customer_id": "away"}`}, exitUnknown},
		{"unknown form", []string{"lag", "-o", "xml"}, exitUsage},
		{"unknown command", []string{"sned"}, exitUsage},
		{"unknown flag", []string{"send", "--frobnicate"}, exitUsage},
		{"arguments missing", []string{"send", "shop"}, exitUsage},
		{"too many arguments", []string{"send", "shop", "new", "shop.PlaceOrder", "{", "}"}, exitUsage},
		{"no UUID", []string{"events", "shop", "550e8400"}, exitUsage},
		{"unknown type", []string{"send", "shop", "new", "shop.Nothing", "{}"}, exitUsage},
		{"wrong JSON", []string{"send", "shop", "new", "shop.PlaceOrder", "[]"}, exitUsage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			got := run(t.Context(), tc.args, strings.NewReader(""), &stdout, &stderr)
			if got != tc.want {
				t.Errorf("exit status %d, want %d\n%s%s", got, tc.want, &stdout, &stderr)
			}
			if failed := got != exitDone; failed != (stderr.Len() > 0) && tc.name != "never written" {
				t.Errorf("exit status %d, and on stderr %q", got, &stderr)
			}
		})
	}
}

// Who interrupts a command must learn that it may have been applied.
func TestInterruptedSend(t *testing.T) {
	door, err := startFakeFrontDoor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.stop)
	ctx, interrupt := context.WithCancel(t.Context())
	door.onSlow = interrupt
	var stdout, stderr bytes.Buffer
	args := []string{"send", "shop", oldRoot, "shop.PlaceOrder", `{"customer_id": "slow"}`, "--server", door.address, "--id", "c-1"}
	if got := run(ctx, args, strings.NewReader(""), &stdout, &stderr); got != exitInterrupted {
		t.Errorf("exit status %d", got)
	}
	for _, want := range []string{"CANCELLED", "--id c-1"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in %q", want, &stderr)
		}
	}
}

// Who interrupts a file of commands learns how far it is, and how to go on.
func TestInterruptedFile(t *testing.T) {
	door, err := startFakeFrontDoor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.stop)
	ctx, interrupt := context.WithCancel(t.Context())
	door.onSlow = interrupt
	lines := `{"root": "0198c6e2-0000-7000-8000-000000000001", "type": "shop.PlaceOrder", "command": {"customer_id": "ada"}}
{"root": "0198c6e2-0000-7000-8000-000000000001", "type": "shop.PlaceOrder", "command": {"customer_id": "refused"}}
{"root": "0198c6e2-0000-7000-8000-000000000001", "type": "shop.PlaceOrder", "command": {"customer_id": "slow"}}
{"root": "0198c6e2-0000-7000-8000-000000000001", "type": "shop.PlaceOrder", "command": {"customer_id": "bob"}}
`
	var stdout, stderr bytes.Buffer
	args := []string{"send", "shop", "--file", "-", "--server", door.address}
	if got := run(ctx, args, strings.NewReader(lines), &stdout, &stderr); got != exitInterrupted {
		t.Errorf("exit status %d", got)
	}
	for _, want := range []string{"2 of 4 commands answered, 1 refused", "with --from 3: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in %q", want, &stderr)
		}
	}
	if want := "line 2: 0198c6e2-0000-7000-8000-000000000001 FAILED_PRECONDITION: no more credit"; !strings.HasPrefix(stdout.String(), want) {
		t.Errorf("says %q, want %q", &stdout, want)
	}
}

// Who reads no more ends the program, without a word.
func TestBrokenPipe(t *testing.T) {
	door, err := startFakeFrontDoor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.stop)
	for _, form := range []string{outputTable, outputJSON, outputYAML} {
		line := "angzarr events shop " + oldRoot + " --server " + door.address + " -o " + form
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
		var stderr bytes.Buffer
		c := exec.CommandContext(t.Context(), "sh", "-c", "exec "+line)
		c.Stdout, c.Stderr = writer, &stderr
		err = c.Run()
		writer.Close()
		if err == nil || stderr.Len() > 0 {
			t.Errorf("%s: %v, and on stderr %q", form, err, &stderr)
		}
	}
}
