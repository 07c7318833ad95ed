package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkCertificate is how often handshakes check whether the files have changed.
const checkCertificate = time.Second

// certificate is the certificate of this server. When its files change, later handshakes get the
// new one; open connections stay.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	looked  time.Time
	seen    [2]fileState
}

// fileState identifies the content of a file by size and time.
type fileState struct {
	changed time.Time
	size    int64
}

// openCertificate reads the files. An error names the file that is wrong.
func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	seen, err := c.look()
	if err != nil {
		return nil, err
	}
	if c.current, err = c.load(); err != nil {
		return nil, err
	}
	c.seen, c.looked = seen, c.now()
	return c, nil
}

// tls is the TLS configuration of this server; nil for plain HTTP.
func (c *config) tls(log *slog.Logger) (*tls.Config, error) {
	if c.tlsCert == "" {
		return nil, nil
	}
	shown, err := openCertificate(c.tlsCert, c.tlsKey, log)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: shown.get}, nil
}

// get implements tls.Config.GetCertificate. It keeps the certificate when the files do not match,
// for example while they are being replaced.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked).Abs() < checkCertificate {
		return c.current, nil
	}
	c.looked = now
	seen, err := c.look()
	if err == nil && seen == c.seen {
		return c.current, nil
	}
	changed := seen != c.seen
	c.seen = seen
	var fresh *tls.Certificate
	if err == nil {
		fresh, err = c.load()
	}
	switch {
	case err == nil:
		c.current = fresh
		c.log.Info("the TLS certificate was replaced", "expires", fresh.Leaf.NotAfter)
	case changed:
		c.log.Error("the new TLS certificate cannot be used; the former one stays", "error", err)
	}
	return c.current, nil
}

func (c *certificate) look() (seen [2]fileState, err error) {
	for i, file := range []string{c.certFile, c.keyFile} {
		info, statErr := os.Stat(file)
		if statErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", []string{"--tls-cert", "--tls-key"}[i], statErr))
			continue
		}
		seen[i] = fileState{info.ModTime(), info.Size()}
	}
	return seen, err
}

func (c *certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s and --tls-key %s are not a certificate and its key in PEM: %w", c.certFile, c.keyFile, err)
	}
	if c.now().After(pair.Leaf.NotAfter) {
		c.log.Warn("the TLS certificate has expired", "expired", pair.Leaf.NotAfter)
	}
	return &pair, nil
}
