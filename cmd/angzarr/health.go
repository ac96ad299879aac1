package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/config"
)

// healthPatience is under the time that container engines give a check.
const healthPatience = 2 * time.Second

func newHealthCommand() *cobra.Command {
	var path, admin string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say whether the process beside this one takes calls",
		Long: `Ask a process's admin port whether it takes calls. Exit status 0 and what it
answers, or 1 and why not. It needs no shell, so that a container can check itself.

The address is --admin, else that of the configuration that the process has
(--config, ANGZARR_CONFIG, ANGZARR_ADMIN), else ` + config.DefaultAdmin + `.`,
		Example: `  angzarr health
  angzarr health --admin 10.0.0.7:50060`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if admin == "" {
				var err error
				if admin, err = adminAddress(path); err != nil {
					return err
				}
			}
			said, err := askHealth(cmd.Context(), admin)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), said)
			return nil
		},
	}
	cmd.Flags().StringVar(&admin, "admin", "", "host:port of the admin port")
	cmd.Flags().StringVar(&path, "config", "", "the process's configuration, also by ANGZARR_CONFIG")
	return cmd
}

// adminAddress is where a process with this environment listens.
func adminAddress(path string) (string, error) {
	if path == "" && os.Getenv("ANGZARR_CONFIG") == "" {
		if a := os.Getenv("ANGZARR_ADMIN"); a != "" {
			return a, nil
		}
		return config.DefaultAdmin, nil
	}
	c, err := config.Load(path, os.Environ(), nil)
	if err != nil {
		return "", err
	}
	return c.Admin, nil
}

// askHealth gives the answer in one line.
func askHealth(ctx context.Context, address string) (string, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", usageError{fmt.Errorf("--admin %s: want host:port", address)}
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return "", usageError{fmt.Errorf("--admin %s: %w", address, err)}
	}
	// Not by a proxy that the environment names.
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", fmt.Errorf("nobody listens at %s: the process isn't up, or its admin port is another (--admin)", address)
	case errors.Is(err, context.DeadlineExceeded):
		return "", fmt.Errorf("no answer from %s within %v: it is still starting, or hangs", address, healthPatience)
	case err != nil:
		return "", fmt.Errorf("ask %s: %w", address, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", address, err)
	}
	said := strings.Join(strings.FieldsFunc(string(body), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s is not ready: %s: %s", address, answer.Status, said)
	}
	return said, nil
}
