package main

import (
	"net"
	"net/url"
	"slices"

	"keyflow/credentials/sources"
	"keyflow/internal/egress"
)

// openSources returns the readers of secrets that are stored elsewhere. Vault has its own
// transport, so that workflows may not call its address.
func (c *core) openSources(cfg config) (*sources.Sources, error) {
	lookup := func(name string) (string, bool) {
		if cfg.getenv == nil {
			return "", false
		}
		value := cfg.getenv(name)
		return value, value != ""
	}
	o := sources.Options{Allow: cfg.sources, DataDir: cfg.dataDir, Getenv: lookup}
	if address, set := lookup("VAULT_ADDR"); set {
		vault, err := egress.New(egress.Options{Allow: append(slices.Clone(cfg.egressAllow), vaultHost(address)...), Logger: c.log})
		if err != nil {
			return nil, err
		}
		c.vaultEgress = vault
		o.Transport = vault
	}
	return sources.New(o)
}

// vaultHost is the --egress-allow entry of a URL; none when the URL is not valid.
func vaultHost(address string) []string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return []string{net.JoinHostPort(u.Hostname(), port)}
}
