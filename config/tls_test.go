package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned writes a certificate for the name that is its own authority.
func selfSigned(t *testing.T, name string) *TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert := write("cert.pem", "CERTIFICATE", certificate)
	return &TLS{CA: cert, Cert: cert, Key: write("key.pem", "PRIVATE KEY", private), ServerName: name}
}

// shake gives what the server and the client say of each other.
func shake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	// A net.Pipe would stand still when both sides write.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = tls.Server(conn, server).HandshakeContext(t.Context())
			_ = conn.Close()
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	clientErr = tls.Client(conn, client).HandshakeContext(t.Context())
	serverErr = <-done
	_, _ = conn.Close(), listener.Close()
	return serverErr, clientErr
}

func TestPeersProveThemselves(t *testing.T) {
	files := selfSigned(t, "angzarr")
	server, err := files.Server()
	if err != nil {
		t.Fatal(err)
	}
	client, err := files.Client()
	if err != nil {
		t.Fatal(err)
	}
	if a, b := shake(t, server, client); a != nil || b != nil {
		t.Errorf("want peers of one authority to agree, got %v, %v", a, b)
	}
	anonymous, err := (&TLS{CA: files.CA, ServerName: "angzarr"}).Client()
	if err != nil {
		t.Fatal(err)
	}
	if refused, _ := shake(t, server, anonymous); refused == nil {
		t.Error("want a client without a certificate refused")
	}
	other, err := selfSigned(t, "angzarr").Client()
	if err != nil {
		t.Fatal(err)
	}
	if _, refused := shake(t, server, other); refused == nil {
		t.Error("want a server of another authority refused")
	}
}

func TestTLSFiles(t *testing.T) {
	files, empty := selfSigned(t, "x"), write(t, "nothing")
	for name, row := range map[string]struct {
		tls  TLS
		want string
	}{
		"no such authority": {TLS{CA: "missing.pem"}, "ca: want a readable PEM file: open missing.pem"},
		"no certificate":    {TLS{CA: empty}, "ca: " + empty + " holds no certificate: want a PEM file"},
		"a foreign key":     {TLS{Cert: files.Cert, Key: selfSigned(t, "x").Key}, "cert, key: want PEM files that belong together"},
	} {
		for _, load := range []func() (*tls.Config, error){row.tls.Client, row.tls.Server} {
			if _, err := load(); err == nil || !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("%s: want %s, got %v", name, row.want, err)
			}
		}
	}
	if c, err := (&TLS{}).Client(); err != nil || c.RootCAs != nil {
		t.Errorf("want the system's authorities, got %v, %v", c, err)
	}
}
