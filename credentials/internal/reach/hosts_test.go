package reach

import (
	"net/url"
	"testing"
)

func TestAllowedHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, url string
		want         bool
	}{
		{"api.example.com", "https://api.example.com/x", true},
		{"api.example.com", "https://API.Example.com./x", true},
		{"API.example.com.", "https://api.example.com", true},
		{"api.example.com", "https://api.example.com:8443/", true},
		{"api.example.com", "https://evilapi.example.com/", false},
		{"api.example.com", "https://api.example.com.evil.net/", false},
		{"api.example.com", "https://api.example.com@evil.net/", false},
		{"api.example.com", "https://evil.net/api.example.com", false},
		{"api.example.com", "http://api.example.com/", false},
		{"api.example.com", "ftp://api.example.com/", false},
		{"api.example.com:8443", "https://api.example.com:8443/", true},
		{"api.example.com:8443", "https://api.example.com/", false},
		{"api.example.com:443", "https://api.example.com/", true},
		{"http://api.example.com:80", "http://api.example.com/", true},
		{"http://api.example.com", "http://api.example.com/", true},
		{"http://api.example.com", "https://api.example.com/", true},
		{"https://localhost", "http://localhost/", false},
		{"https://localhost", "https://localhost/", true},
		{"localhost", "http://localhost:8080/", true},
		{"localhost", "http://127.0.0.1:8080/", false},
		{"127.0.0.1", "http://127.0.0.1:8080/", true},
		{"127.0.0.1:8080", "http://127.0.0.1:8081/", false},
		{"127.0.0.1", "http://[::ffff:127.0.0.1]/", true},
		{"[::1]:8080", "http://[::1]:8080/", true},
		{"::1", "http://[0:0:0:0:0:0:0:1]/", true},
		{"10.0.0.7", "http://10.0.0.7/", false},
		{"10.0.0.7", "https://10.0.0.7/", true},
		{"*.example.com", "https://api.example.com/", true},
		{"*.example.com", "https://a.b.example.com/", true},
		{"*.example.com", "https://example.com/", false},
		{"*.example.com", "https://.example.com/", false},
		{"*.example.com", "https://evilexample.com/", false},
		{"*.example.com:444", "https://a.example.com/", false},
		{"*", "https://anything.example/", true},
		{"*", "http://anything.example/", false},
		{"*", "http://127.0.0.1/", true},
		{"http://*", "http://anything.example/", true},
		{"bücher.example", "https://xn--bcher-kva.example/", true},
		{"xn--bcher-kva.example", "https://bücher.example/", true},
		{"not a pattern", "https://not/", false},
		{"*", "https:///path", false},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.url, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := ParseHosts([]string{"other.example", tt.pattern}).Allow(u); got != tt.want {
				t.Errorf("allowedHost = %v, want %v", got, tt.want)
			}
		})
	}
	if ParseHosts(nil).Allow(&url.URL{Scheme: "https", Host: "a.example"}) {
		t.Error("no pattern must allow nothing")
	}
}

func TestHostPatternProblems(t *testing.T) {
	t.Parallel()
	const place = "is not a host: leave out user, path and query, for example api.example.com"
	const name = "is not a possible host name; a * may only stand alone or as the whole first label, for example *.example.com"
	tests := map[string]string{
		"":                         "is empty",
		"https://api.example.com/": place,
		"api.example.com/v1":       place,
		"user@api.example.com":     place,
		"a b":                      place,
		"ftp://x":                  `scheme "ftp" is not possible; use a host, or http:// in front to allow unencrypted requests`,
		"api.*.com":                name,
		"*api.example.com":         name,
		"*.*.com":                  name,
		"a..b":                     name,
		"*.10.0.0.1":               "has a * in front of an address; list the addresses",
		"host:":                    "has a colon without a port",
		"host:0":                   `has the port "0"; a port is a number from 1 to 65535`,
		"host:080":                 `has the port "080"; a port is a number from 1 to 65535`,
		"host:65536":               `has the port "65536"; a port is a number from 1 to 65535`,
		"[::1":                     "has a bracket that does not enclose an IPv6 address",
		"fe80::1%eth0":             "has an IPv6 zone, which is not possible here",
	}
	for pattern, want := range tests {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			if p, err := ParseHost(pattern); err == nil || err.Error() != want {
				t.Errorf("ParseHost = %v, %v; want error %q", p, err, want)
			}
		})
	}
}

func TestHostPatternCovers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		old, new string
		want     bool
	}{
		{"a.example", "a.example", true},
		{"a.example", "A.example.", true},
		{"a.example", "a.example:444", true},
		{"a.example:444", "a.example", false},
		{"a.example", "b.example", false},
		{"a.example", "http://a.example", false},
		{"http://a.example", "a.example", true},
		{"a.example", "https://a.example", true},
		{"https://a.example", "a.example", false},
		{"*.example", "a.example", true},
		{"*.example", "*.a.example", true},
		{"*.a.example", "*.example", false},
		{"a.example", "*.a.example", false},
		{"*", "a.example", true},
		{"*", "http://a.example", false},
		{"*", "*", true},
		{"a.example", "*", false},
	}
	for _, tt := range tests {
		t.Run(tt.old+" "+tt.new, func(t *testing.T) {
			t.Parallel()
			older, err := ParseHost(tt.old)
			if err != nil {
				t.Fatal(err)
			}
			newer, err := ParseHost(tt.new)
			if err != nil {
				t.Fatal(err)
			}
			if got := older.Covers(newer); got != tt.want {
				t.Errorf("covers = %v, want %v", got, tt.want)
			}
			if again, err := ParseHost(newer.String()); err != nil || again != newer {
				t.Errorf("%q does not survive String: %+v, %v", newer, again, err)
			}
		})
	}
}
