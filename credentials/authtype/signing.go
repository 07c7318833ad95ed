package authtype

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some providers sign with HMAC-SHA-1, which is not broken as a MAC
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

// The schemes of signing.
const (
	schemeStandard = "standard_webhooks"
	schemeHMAC     = "hmac"
)

// signing signs outgoing webhooks and verifies inbound ones with a shared secret.
func signing() Type {
	return Type{
		Name:         credentials.TypeSigning,
		Label:        "Signing",
		Summary:      "Signs outgoing webhooks and verifies inbound ones.",
		Fields:       append(signingSecrets(), signingForm()...),
		Anywhere:     true,
		Check:        checkSigning,
		Authenticate: authenticateSigning,
		Verify:       verifySigning,
		Placement: func(v *Values) string {
			return "header " + scheme(v).header
		},
	}
}

func signingSecrets() []Field {
	return []Field{
		{
			Name: "scheme", Label: "Scheme", Kind: KindChoice, Default: schemeStandard, Choices: []string{schemeStandard, schemeHMAC},
			Help: "Standard Webhooks (standardwebhooks.com), or an HMAC of your own description.",
		},
		{
			Name: "secret", Label: "Secret", Kind: KindText, Secret: true, Required: true,
			Help: "Signs and verifies. A Standard Webhooks secret begins with whsec_.",
		},
		{Name: "secret_2", Label: "Second secret", Kind: KindText, Secret: true, Help: "Verifies too, while a secret is being replaced."},
		{Name: "secret_3", Label: "Third secret", Kind: KindText, Secret: true, Help: "Verifies too, while a secret is being replaced."},
		{
			Name: "tolerance", Label: "Tolerance", Kind: KindText, Format: FormatDuration, Default: "5m",
			Help: "How far the time of a request may be from ours.",
		},
	}
}

func signingForm() []Field {
	own := map[string]string{"scheme": schemeHMAC}
	pairs := map[string]string{"scheme": schemeHMAC, "header_form": "pairs"}
	return []Field{
		{Name: "header", Label: "Header", Kind: KindText, Required: true, ShowIf: own, Help: "The header of the signature, for example X-Hub-Signature-256."},
		{Name: "prefix", Label: "Prefix", Kind: KindText, ShowIf: own, Help: "Before the signature, for example sha256=."},
		{Name: "algorithm", Label: "Algorithm", Kind: KindChoice, Default: "sha256", Choices: []string{"sha256", "sha512", "sha1"}, ShowIf: own, Help: "The hash of the HMAC."},
		{Name: "encoding", Label: "Encoding", Kind: KindChoice, Default: "hex", Choices: []string{"hex", "base64"}, ShowIf: own, Help: "How the signature is written."},
		{Name: "secret_encoding", Label: "Encoding of the secret", Kind: KindChoice, Default: "text", Choices: []string{"text", "base64", "hex"}, ShowIf: own, Help: "How the key is written in the secret."},
		{
			Name: "template", Label: "Signed text", Kind: KindText, Default: "{body}", ShowIf: own,
			Help: "What is signed, of {body}, {timestamp} and {id}, for example {timestamp}.{body}.",
		},
		{Name: "timestamp_header", Label: "Header of the time", Kind: KindText, ShowIf: own, Help: "Unix seconds, for example X-Slack-Request-Timestamp."},
		{Name: "id_header", Label: "Header of the ID", Kind: KindText, ShowIf: own, Help: "The header of the delivery's ID, where it is signed."},
		{
			Name: "header_form", Label: "Form of the header", Kind: KindChoice, Default: "value", Choices: []string{"value", "pairs"}, ShowIf: own,
			Help: "value: the signature alone. pairs: time and signatures, as t=1700000000,v1=5f2a.",
		},
		{Name: "timestamp_key", Label: "Name of the time", Kind: KindText, Default: "t", ShowIf: pairs, Help: "In the pairs."},
		{Name: "signature_key", Label: "Name of the signature", Kind: KindText, Default: "v1", ShowIf: pairs, Help: "In the pairs."},
	}
}

// signature is how one provider signs.
type signature struct {
	newHash    func() hash.Hash
	key        func(text string) ([]byte, error) // of a secret
	header     string
	prefix     string
	separator  string // between several signatures in one header; "" is one only
	base64     bool   // else hex
	template   string
	timeHeader string // "" sends no time outside of pairs
	idHeader   string
	// With pairs the header is a list such as t=1700000000,v1=5f2a.
	pairs   bool
	timeKey string
	signKey string

	tolerance time.Duration
}

func scheme(v *Values) signature {
	s := signature{newHash: sha256.New, tolerance: 5 * time.Minute}
	if d, err := credentials.ParseDuration(v.Text("tolerance")); err == nil {
		s.tolerance = d
	}
	if v.Text("scheme") == schemeStandard {
		s.header, s.prefix, s.separator, s.base64 = "Webhook-Signature", "v1,", " ", true
		s.timeHeader, s.idHeader, s.template = "Webhook-Timestamp", "Webhook-Id", "{id}.{timestamp}.{body}"
		s.key = func(text string) ([]byte, error) {
			return base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
		}
		return s
	}
	switch v.Text("algorithm") {
	case "sha1":
		s.newHash = sha1.New
	case "sha512":
		s.newHash = sha512.New
	}
	s.header, s.prefix, s.base64 = http.CanonicalHeaderKey(v.Text("header")), v.Text("prefix"), v.Text("encoding") == "base64"
	s.pairs, s.timeKey, s.signKey = v.Text("header_form") == "pairs", v.Text("timestamp_key"), v.Text("signature_key")
	s.timeHeader, s.idHeader = http.CanonicalHeaderKey(v.Text("timestamp_header")), http.CanonicalHeaderKey(v.Text("id_header"))
	s.template = v.Text("template")
	switch v.Text("secret_encoding") {
	case "base64":
		s.key = base64.StdEncoding.DecodeString
	case "hex":
		s.key = hex.DecodeString
	default:
		s.key = func(text string) ([]byte, error) { return []byte(text), nil }
	}
	return s
}

// timed reports whether requests say when they were signed.
func (s signature) timed() bool { return s.pairs || s.timeHeader != "" }

func checkSigning(v *Values) []Issue {
	s := scheme(v)
	var found []Issue
	for _, field := range []string{"secret", "secret_2", "secret_3"} {
		text := v.Text(field)
		if key, err := s.key(text); text != "" && (err != nil || len(key) == 0) {
			message := "is not written in " + v.Text("secret_encoding")
			if v.Text("scheme") == schemeStandard {
				message = "is not a Standard Webhooks secret: whsec_ and base64"
			}
			found = append(found, Issue{field, problem.InvalidValue, message})
		}
	}
	if v.Text("scheme") == schemeStandard {
		return found
	}
	for _, field := range []string{"header", "timestamp_header", "id_header"} {
		found = append(found, checkHeader(field, v.Text(field), field, "x")...)
	}
	found = append(found, checkHeader("header", "X", "prefix", s.prefix+"x")...)
	return append(found, checkTemplate(s)...)
}

func checkTemplate(s signature) []Issue {
	wrong := func(message string) []Issue { return []Issue{{"template", problem.InvalidValue, message}} }
	rest := strings.NewReplacer("{body}", "", "{timestamp}", "", "{id}", "").Replace(s.template)
	signsTime, signsID := strings.Contains(s.template, "{timestamp}"), strings.Contains(s.template, "{id}")
	switch {
	case strings.ContainsAny(rest, "{}"):
		return wrong("holds braces that are none of {body}, {timestamp} and {id}")
	case strings.Count(s.template, "{body}") != 1:
		return wrong("must hold {body} once")
	case signsTime && !s.timed():
		return wrong("signs {timestamp}: name the timestamp_header, or choose the header form pairs")
	case s.timed() && !signsTime:
		return wrong("must hold {timestamp}: a time that is not signed proves nothing")
	case signsID && s.idHeader == "":
		return wrong("signs {id}: name the id_header")
	case s.pairs && (s.timeHeader != "" || s.timeKey == "" || s.signKey == ""):
		return []Issue{{"header_form", problem.InvalidValue, "pairs hold the time themselves: leave out timestamp_header and name timestamp_key and signature_key"}}
	default:
		return nil
	}
}

// secrets lists the active secrets as keys, the one that signs first.
func (s signature) secrets(v *Values) ([][]byte, error) {
	var keys [][]byte
	for _, field := range []string{"secret", "secret_2", "secret_3"} {
		text := v.Text(field)
		if text == "" {
			continue
		}
		key, err := s.key(text)
		if err != nil {
			return nil, errors.New("the field " + field + " cannot be read as a key")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// sign is the signature of one message as it is written.
func (s signature) sign(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(s.newHash, key)
	before, after, _ := strings.Cut(s.template, "{body}")
	values := strings.NewReplacer("{timestamp}", timestamp, "{id}", id)
	_, _ = values.WriteString(mac, before) // a hash never fails
	mac.Write(body)
	_, _ = values.WriteString(mac, after)
	if s.base64 {
		return s.prefix + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return s.prefix + hex.EncodeToString(mac.Sum(nil))
}

// authenticateSigning signs the body as it is now; each attempt has its own time. The delivery
// id that the node has set is kept. A signature is no secret: it serves for this body only.
func authenticateSigning(v *Values, req *http.Request, with Proof) ([]string, error) {
	s := scheme(v)
	keys, err := s.secrets(v)
	if err != nil {
		return nil, err
	}
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	timestamp, id := strconv.FormatInt(with.Now.Unix(), 10), ""
	if s.idHeader != "" {
		if id = req.Header.Get(s.idHeader); id == "" {
			id = uuid.NewString()
		}
		req.Header.Set(s.idHeader, id)
	}
	if s.timeHeader != "" {
		req.Header.Set(s.timeHeader, timestamp)
	}
	switch first := s.sign(keys[0], id, timestamp, body); {
	case s.pairs:
		req.Header.Set(s.header, s.timeKey+"="+timestamp+","+s.signKey+"="+first)
	case s.separator == "":
		req.Header.Set(s.header, first)
	default: // receivers that know only the new or only the old secret accept it
		all := []string{first}
		for _, key := range keys[1:] {
			all = append(all, s.sign(key, id, timestamp, body))
		}
		req.Header.Set(s.header, strings.Join(all, s.separator))
	}
	return nil, nil
}

// maxSignatures bounds the work for one inbound request.
const maxSignatures = 10

// verifySigning compares every signature of the request with that of every secret. A request
// with a time is accepted once; one without may come again, as senders repeat it unchanged.
func verifySigning(v *Values, r Inbound) (Proven, bool) {
	s := scheme(v)
	found := Proven{CarriedIn: []string{s.header}}
	keys, err := s.secrets(v)
	headers := r.Header.Values(s.header)
	if err != nil || len(headers) != 1 {
		return found, false
	}
	timestamp, got := s.read(r, headers[0])
	id := ""
	if s.idHeader != "" {
		id = r.Header.Get(s.idHeader)
	}
	matches := 0
	for _, key := range keys {
		want := s.sign(key, id, timestamp, r.Raw)
		for _, text := range got {
			matches |= sameText(text, want)
		}
	}
	if !s.timed() {
		return found, matches == 1
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	at := time.Unix(seconds, 0)
	fresh := err == nil && r.Now.Sub(at).Abs() <= s.tolerance
	found.Once, found.Until = s.sign(keys[0], id, timestamp, r.Raw), at.Add(s.tolerance+time.Second)
	return found, matches == 1 && fresh && (s.idHeader == "" || id != "")
}

// read takes the time and the signatures, with their prefixes, out of a request.
func (s signature) read(r Inbound, header string) (timestamp string, got []string) {
	timestamp = r.Header.Get(s.timeHeader)
	switch {
	case s.pairs:
		for part := range strings.SplitSeq(header, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case s.timeKey:
				timestamp = value
			case s.signKey:
				got = append(got, value)
			}
		}
	case s.separator != "":
		got = strings.Split(header, s.separator)
	default:
		got = []string{header}
	}
	return timestamp, got[:min(len(got), maxSignatures)]
}
