package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS names PEM files. All of them may be left out: `tls: true` is TLS with the
// system's certificate authorities and without a certificate of one's own.
type TLS struct {
	CA         string `koanf:"ca"`          // "": the system's authorities
	Cert       string `koanf:"cert"`        // given with Key
	Key        string `koanf:"key"`         // given with Cert
	ServerName string `koanf:"server_name"` // "": the host that is dialled
}

// Client loads the files for outgoing connections. An error names the key below
// `tls` and the file.
func (t *TLS) Client() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: want a readable PEM file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no certificate: want a PEM file with the authority's", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cert, key: want PEM files that belong together: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Server loads the files for a listener that lets in only those whose
// certificate comes from CA.
func (t *TLS) Server() (*tls.Config, error) {
	c, err := t.Client()
	if err != nil {
		return nil, err
	}
	c.ServerName = ""
	c.ClientCAs, c.RootCAs = c.RootCAs, nil
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}
