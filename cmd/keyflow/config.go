package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"keyflow/credentials/sources"
	"keyflow/internal/fault"
	"keyflow/internal/secret"
	"keyflow/workflows"
)

const (
	defaultDataDir = "./keyflow-data"
	defaultKeepFor = 90 * 24 * time.Hour
)

// config is the configuration of a server. It is read once, from flags and from environment
// variables, which flags override.
type config struct {
	httpConfig
	storageConfig
	egressConfig
	logConfig
	secretConfig

	folder      string // of workflow files; "" is none
	concurrency int
	maxOutput   byteSize // of one step
	clockOffset string   // KEYFLOW_TEST_CLOCK_OFFSET
}

// httpConfig is how the server is reached.
type httpConfig struct {
	listen    string
	publicURL string
	tlsCert   string // "" with tlsKey: plain HTTP
	tlsKey    string

	trustedProxies []string
	proxies        []netip.Prefix // trustedProxies, parsed by validate
}

// storageConfig is where data is stored, and how long.
type storageConfig struct {
	dataDir     string
	databaseURL string
	keepFor     workflows.Duration // of runs that have ended; 0: for ever
	keepRuns    int                // of each workflow; 0: all
}

// egressConfig is what workflows may call.
type egressConfig struct {
	egressAllow []string
	egressProxy string // may contain a password
}

type logConfig struct {
	logFormat string
	logLevel  string
}

// secretConfig is where secrets come from.
type secretConfig struct {
	sources       []string            // that references to secrets may name
	getenv        func(string) string // for references, and for Vault
	masterKey     string              // KEYFLOW_MASTER_KEY
	adminToken    secret.Text         // KEYFLOW_ADMIN_TOKEN
	adminPassword secret.Text         // KEYFLOW_ADMIN_PASSWORD
}

func (c *config) storageFlags(f *pflag.FlagSet) {
	f.StringVar(&c.dataDir, "data-dir", defaultDataDir, "folder of the database, the master key and the admin token")
	f.StringVar(&c.databaseURL, "database-url", "", "postgres://… (default: SQLite in the data folder)")
	f.StringSliceVar(&c.egressAllow, "egress-allow", nil, `addresses that workflows may call besides public ones: CIDR, host, host:port, or "private"`)
	f.StringVar(&c.egressProxy, "egress-proxy", "", "forward proxy for all requests of workflows, such as http://proxy.example.com:3128; a password only in KEYFLOW_EGRESS_PROXY")
	f.TextVar(&c.maxOutput, "max-output", defaultMaxOutput, "how large the output of one step may be: bytes, 512KiB or 2MiB, at most 10MiB")
	f.StringSliceVar(&c.sources, "secret-sources", nil, "places that references to secrets may name: env, env:PREFIX_, file, file:/folder, vault, vault:path (default: none)")
	f.IntVar(&c.concurrency, "concurrency", 256, "steps that run at once")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
}

func (c *config) serverFlags(f *pflag.FlagSet) {
	f.StringVar(&c.listen, "listen", "127.0.0.1:8080", "address of the page, the API and inbound webhooks")
	f.StringVar(&c.publicURL, "public-url", "", "URL at which people and providers reach this server (default: the listening address)")
	f.StringVar(&c.tlsCert, "tls-cert", "", "serve HTTPS with this certificate (PEM, with its chain); changes are loaded while the server runs")
	f.StringVar(&c.tlsKey, "tls-key", "", "the key of --tls-cert (PEM)")
	f.StringVar(&c.folder, "workflows", "", "folder of workflow files, applied at the start and when they change")
	f.StringSliceVar(&c.trustedProxies, "trusted-proxies", nil, "CIDRs of proxies whose X-Forwarded-For is trusted (default: none)")
	f.TextVar(&c.keepFor, "keep-runs-for", workflows.Duration(defaultKeepFor), "how long runs are kept after their end, such as 90d or 12h; 0 is for ever")
	f.IntVar(&c.keepRuns, "keep-runs", 0, "how many ended runs of each workflow are kept, the newest; 0 is all")
	c.storageFlags(f)
}

// secrets reads what must not be in a process list, and what is for tests only.
func (c *config) secrets(getenv func(string) string) {
	c.getenv = getenv
	c.masterKey, c.clockOffset = getenv("KEYFLOW_MASTER_KEY"), getenv("KEYFLOW_TEST_CLOCK_OFFSET")
	if v := getenv("KEYFLOW_ADMIN_TOKEN"); v != "" {
		c.adminToken = secret.New(v)
	}
	if v := getenv("KEYFLOW_ADMIN_PASSWORD"); v != "" {
		c.adminPassword = secret.New(v)
	}
}

func (c *config) validate() error {
	if c.concurrency < 1 {
		return usagef("--concurrency must be at least 1")
	}
	if err := c.validateLimits(); err != nil {
		return err
	}
	if c.folder != "" {
		if info, err := os.Stat(c.folder); err != nil || !info.IsDir() {
			return usagef("--workflows: %s is not a folder", c.folder)
		}
	}
	if c.publicURL != "" {
		u, err := url.Parse(c.publicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
			return usagef("--public-url must look like https://keyflow.example.com, not %q", c.publicURL)
		}
		if c.tlsCert != "" && u.Scheme != "https" {
			return usagef("--public-url begins with http://, but with --tls-cert this server speaks https: write https://%s", u.Host)
		}
	}
	if _, err := sources.New(sources.Options{Allow: c.sources}); err != nil {
		return usagef("%s", fault.Message(err))
	}
	for _, text := range c.trustedProxies {
		proxy, err := netip.ParsePrefix(text)
		if err != nil {
			return usagef("--trusted-proxies: %q is not a CIDR such as 10.0.0.0/8 or 10.1.2.3/32", text)
		}
		c.proxies = append(c.proxies, proxy.Masked())
	}
	return nil
}

func (c *config) validateLimits() error {
	switch {
	case c.keepRuns < 0:
		return usagef("--keep-runs must not be negative; 0 keeps all")
	case c.maxOutput < smallestMaxOutput || c.maxOutput > largestMaxOutput:
		return usagef("--max-output must be between 1KiB and 10MiB")
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return usagef("--tls-cert and --tls-key belong together: give both or none")
	}
	return nil
}

// scheme is that of this server's URLs.
func (c *config) scheme() string {
	if c.tlsCert != "" {
		return "https"
	}
	return "http"
}

func (c *config) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return nil, usagef("--log-level must be debug, info, warn or error, not %q", c.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch c.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, usagef("--log-format must be text or json, not %q", c.logFormat)
	}
}

// public is the public URL without a trailing slash, by default that of the listener.
func (c *config) public(listener net.Addr) (*url.URL, error) {
	text := c.publicURL
	if text == "" {
		text = c.scheme() + "://" + dialable(listener)
	}
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil {
		return nil, fmt.Errorf("public url: %w", err)
	}
	return u, nil
}

// dialable turns a wildcard address into one that a browser on this machine can open.
func dialable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}
