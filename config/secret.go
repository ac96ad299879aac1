package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a password. It prints, logs and marshals as a placeholder; only
// Reveal gives it away.
//
// It holds a pointer, as methods alone don't help: fmt complains about a wrong
// verb by printing what a pointer points to without calling any.
type Secret struct{ value *string }

// NewSecret hides value; "" is no secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal gives the password, for the client that sends it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// redacted stands for a secret; it tells a given one from a missing one.
func (s Secret) redacted() string {
	if s.value == nil {
		return ""
	}
	return "[redacted]"
}

// Format covers every verb, as String would not.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.redacted()) }

// LogValue is what slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.redacted()) }

// MarshalText is what JSON and YAML show.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.redacted()), nil }
