package log

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// SASL is who a client says it is. PLAIN sends the password as it is: it
// belongs inside TLS.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string
	User      string
	Password  string
}

// Valid says what is wrong with it, before a broker does so less clearly.
func (s SASL) Valid() error {
	if refused, ok := s.mechanism().(refusedMechanism); ok {
		return refused.err
	}
	if s.User == "" {
		return fmt.Errorf("sasl: no user is given for %s", s.Mechanism)
	}
	return nil
}

// LogValue keeps the password out of logs.
func (s SASL) LogValue() slog.Value {
	return slog.GroupValue(slog.String("mechanism", s.Mechanism), slog.String("user", s.User))
}

func (s SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism()
	}
	return refusedMechanism{fmt.Errorf("sasl: mechanism %q is unknown: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are supported", s.Mechanism)}
}

// refusedMechanism fails every connection: a mechanism that is unknown must
// not become a connection without any.
type refusedMechanism struct{ err error }

func (m refusedMechanism) Name() string { return "PLAIN" }

func (m refusedMechanism) Authenticate(context.Context, string) (sasl.Session, []byte, error) {
	return nil, nil, m.err
}
