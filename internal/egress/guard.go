package egress

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"

	"keyflow/internal/fault"
)

// guard decides which addresses may be dialled.
type guard struct {
	guardian *ssrf.Guardian
	exact    []netip.Prefix  // entries that are one address: they open a metadata address too
	hosts    map[string]bool // "intranet.example.com"
	pairs    map[string]bool // "127.0.0.1:8080", "intranet.example.com:443"
	own      func() []netip.AddrPort
	proxy    *proxy // nil: connections are direct
	log      *slog.Logger
}

// private is what the entry "private" stands for: RFC 1122 loopback, RFC 1918, RFC 4193.
func private() []string {
	return []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}
}

// metadata lists cloud metadata addresses; some lie in public ranges. Only an entry that
// is exactly that address opens one.
func metadata() []netip.Addr {
	var out []netip.Addr
	for _, a := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192",
		"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
	} {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func newGuard(o Options) (*guard, error) {
	g := &guard{hosts: map[string]bool{}, pairs: map[string]bool{}, own: o.Own, log: o.Logger}
	var err error
	if g.proxy, err = newProxy(o.Proxy, o.Roots); err != nil {
		return nil, err
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	var v4, v6 []netip.Prefix
	add := func(p netip.Prefix) {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	entries := slices.Clone(o.Allow)
	if i := slices.Index(entries, "private"); i >= 0 {
		entries = slices.Replace(entries, i, i+1, private()...)
	}
	for _, entry := range entries {
		switch e := strings.ToLower(strings.TrimSpace(entry)); {
		case e == "":
		case strings.Contains(e, "/"):
			p, err := netip.ParsePrefix(e)
			if err != nil {
				return nil, badEntry(entry)
			}
			add(p.Masked())
			if p.IsSingleIP() {
				g.exact = append(g.exact, p)
			}
		default:
			if addr, err := netip.ParseAddr(strings.Trim(e, "[]")); err == nil {
				p := netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
				add(p)
				g.exact = append(g.exact, p)
				continue
			}
			if err := g.addName(e); err != nil {
				return nil, badEntry(entry)
			}
		}
	}
	g.guardian = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return g, nil
}

func badEntry(entry string) error {
	return fault.New(fault.Invalid, "--egress-allow: %q is not a CIDR, an address, a host name, host:port or \"private\"", entry)
}

// addName takes "host" and "host:port".
func (g *guard) addName(e string) error {
	host, port, err := net.SplitHostPort(e)
	if err != nil {
		host = e
	} else if n, perr := strconv.ParseUint(port, 10, 16); perr != nil || n == 0 {
		return fault.New(fault.Invalid, "port")
	}
	if host == "" || strings.ContainsAny(host, " \t*@#?\\") {
		return fault.New(fault.Invalid, "host")
	}
	host = strings.TrimSuffix(host, ".")
	if err != nil {
		g.hosts[host] = true
	} else {
		g.pairs[net.JoinHostPort(host, port)] = true
	}
	return nil
}

// dial resolves and connects; address is "host:port" as written in the URL.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	pair := g.pairs[net.JoinHostPort(host, port)]
	named := pair || g.hosts[host]
	if g.proxy != nil {
		return g.dialThrough(ctx, host, port, named, pair)
	}
	return dialer(func(network, resolved string) error {
		return g.check(network, resolved, named, pair)
	}).DialContext(ctx, network, address)
}

// check runs after name resolution, for the very address about to be connected to. named:
// an entry allows the host by name; pair: by name and port.
func (g *guard) check(network, resolved string, named, pair bool) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return errRefused
	}
	addr := at.Addr().Unmap().WithZone("")
	pair = pair || g.pairs[net.JoinHostPort(addr.String(), strconv.Itoa(int(at.Port())))]
	switch {
	case g.isOwn(netip.AddrPortFrom(addr, at.Port())):
		if pair {
			return nil
		}
	case slices.Contains(metadata(), addr):
		if slices.ContainsFunc(g.exact, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return nil
		}
	case named, pair:
		return nil
	default:
		if g.guardian.SafeAddr(addr) == nil {
			return nil
		}
	}
	g.log.Warn("egress refused", slog.String("address", at.String()))
	return errRefused
}

// isOwn reports whether at is a listening address of this process, by any of its interfaces.
func (g *guard) isOwn(at netip.AddrPort) bool {
	if g.own == nil {
		return false
	}
	for _, own := range g.own() {
		if own.Port() != at.Port() {
			continue
		}
		if own.Addr().Unmap() == at.Addr() || (own.Addr().IsUnspecified() && isLocal(at.Addr())) {
			return true
		}
	}
	return false
}

// isLocal reports whether addr reaches this machine; when in doubt it says yes.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == addr
	})
}

func controlFunc(check func(network, address string) error) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		return check(network, address)
	}
}
