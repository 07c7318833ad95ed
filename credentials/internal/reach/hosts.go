// Package reach says where a credential may go, which is hosts, and who may use it, which is
// workflows and folders.
package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Host is one entry of allowed_hosts:
//
//	api.example.com          this host over https, any port
//	*.example.com            every host below example.com, any depth, not example.com itself
//	api.example.com:8443     this port only
//	*                        every host over https
//	http://api.example.com   this host, over http as well
//	https://localhost        https only, also on loopback
//
// Without a scheme a pattern means https, and http too where the host is loopback.
type Host struct {
	scheme   schemes
	any      bool   // *
	wildcard bool   // *.host
	host     string // normal form, see normalHost
	port     string // "" is any
}

type schemes int

const (
	httpsOnly schemes = iota
	httpsUnlessLoopback
	httpToo
)

// ParseHost reads one pattern; the error says what is wrong with it.
func ParseHost(text string) (Host, error) {
	p := Host{scheme: httpsUnlessLoopback}
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		switch strings.ToLower(scheme) {
		case "https":
			p.scheme = httpsOnly
		case "http":
			p.scheme = httpToo
		default:
			return p, fmt.Errorf("scheme %q is not possible; use a host, or http:// in front to allow unencrypted requests", scheme)
		}
		rest = after
	}
	if strings.ContainsAny(rest, "/?#@ \t") {
		return p, errors.New("is not a host: leave out user, path and query, for example api.example.com")
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return p, err
	}
	p.port = port
	switch after, ok := strings.CutPrefix(host, "*."); {
	case host == "":
		return p, errors.New("is empty")
	case host == "*":
		p.any = true
		return p, nil
	case ok:
		p.wildcard, host = true, after
	}
	if p.host, err = normalHost(host); err != nil {
		return p, err
	}
	if p.wildcard && isIP(p.host) {
		return p, errors.New("has a * in front of an address; list the addresses")
	}
	return p, validLabels(p.host)
}

// splitPort takes a port off the end; IPv6 addresses stand in brackets when a port follows.
func splitPort(s string) (host, port string, err error) {
	host = s
	if inner, ok := strings.CutPrefix(s, "["); ok {
		var rest string
		if host, rest, ok = strings.Cut(inner, "]"); !ok || rest != "" && rest[0] != ':' {
			return "", "", errors.New("has a bracket that does not enclose an IPv6 address")
		}
		port = strings.TrimPrefix(rest, ":")
		if rest == ":" {
			return "", "", errors.New("has a colon without a port")
		}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.Count(s, ":") == 1 {
		host, port = s[:i], s[i+1:]
		if port == "" {
			return "", "", errors.New("has a colon without a port")
		}
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", "", fmt.Errorf("has the port %q; a port is a number from 1 to 65535", port)
		}
	}
	return host, port, nil
}

// normalHost is the form in which hosts are compared: lower case, no dot at the end, ASCII
// (punycode), addresses in their shortest form.
func normalHost(host string) (string, error) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", errors.New("has an IPv6 zone, which is not possible here")
		}
		return addr.Unmap().String(), nil
	}
	for i := range len(host) {
		if host[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(host)
			if err != nil {
				return "", errors.New("is not a possible host name")
			}
			return ascii, nil
		}
	}
	return host, nil
}

func validLabels(host string) error {
	if isIP(host) {
		return nil
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return errors.New("is not a possible host name; a * may only stand alone or as the whole first label, for example *.example.com")
		}
	}
	return nil
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// isLoopback reports whether a host in normal form is this machine.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// matches reports whether requests to this place are covered. host is in normal form, port is
// never empty.
func (p Host) matches(scheme, host, port string) bool {
	switch scheme {
	case "https":
	case "http":
		if p.scheme == httpsOnly || p.scheme == httpsUnlessLoopback && !isLoopback(host) {
			return false
		}
	default:
		return false
	}
	if p.port != "" && p.port != port {
		return false
	}
	return p.any || p.matchesHost(host)
}

func (p Host) matchesHost(host string) bool {
	if !p.wildcard {
		return host == p.host
	}
	below, ok := strings.CutSuffix(host, p.host)
	return ok && len(below) > 1 && strings.HasSuffix(below, ".") && !isIP(host)
}

// Covers reports whether everything that q allows is allowed by p as well.
func (p Host) Covers(q Host) bool {
	if p.scheme < q.scheme || p.port != "" && p.port != q.port {
		return false
	}
	switch {
	case p.any:
		return true
	case q.any:
		return false
	case q.wildcard:
		return p.wildcard && (p.host == q.host || p.matchesHost(q.host))
	default:
		return p.matchesHost(q.host)
	}
}

// String returns the pattern in normal form, as it is stored.
func (p Host) String() string {
	var b strings.Builder
	switch p.scheme {
	case httpsOnly:
		b.WriteString("https://")
	case httpToo:
		b.WriteString("http://")
	case httpsUnlessLoopback:
	}
	switch {
	case p.any:
		b.WriteString("*")
	case strings.Contains(p.host, ":"):
		b.WriteString("[" + p.host + "]")
	case p.wildcard:
		b.WriteString("*." + p.host)
	default:
		b.WriteString(p.host)
	}
	if p.port != "" {
		b.WriteString(":" + p.port)
	}
	return b.String()
}

// AnyHost reports whether the pattern names no host at all: *.
func (p Host) AnyHost() bool { return p.any }

// Unencrypted reports whether the pattern allows http to hosts other than this machine.
func (p Host) Unencrypted() bool { return p.scheme == httpToo && !isLoopback(p.host) }

// Hosts are the patterns of one credential.
type Hosts []Host

// ParseHosts reads patterns that were checked when they were saved; one that does not parse
// allows nothing.
func ParseHosts(patterns []string) Hosts {
	parsed := make(Hosts, 0, len(patterns))
	for _, text := range patterns {
		if p, err := ParseHost(text); err == nil {
			parsed = append(parsed, p)
		}
	}
	return parsed
}

// Named are the patterns that name one host.
func (h Hosts) Named() Hosts {
	return slices.DeleteFunc(slices.Clone(h), func(p Host) bool { return p.any || p.wildcard })
}

// Allow reports whether any of the patterns covers u.
func (h Hosts) Allow(u *url.URL) bool {
	host, err := normalHost(u.Hostname())
	if err != nil || host == "" {
		return false
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = "443"
		if scheme == "http" {
			port = "80"
		}
	}
	return slices.ContainsFunc(h, func(p Host) bool { return p.matches(scheme, host, port) })
}
