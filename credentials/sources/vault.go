package sources

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	vaultTimeout = 10 * time.Second
	maxAnswer    = 1 << 20
)

func (s *Sources) checkVault(ref, rest string) error {
	path, key, ok := strings.Cut(rest, "#")
	if !ok || key == "" || !pathForm.MatchString(path) || slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return failed(nil, "%s must be vault:mount/path#key, for example vault:secret/crm#password", ref)
	}
	for _, prefix := range s.allow[Vault] {
		if prefix == "" || within(path, strings.TrimSuffix(prefix, "/")) {
			return nil
		}
	}
	return s.narrowed(ref, Vault)
}

// readVault reads one key of a KV v2 secret. Those who ask for keys of one secret at the same
// time share a read that begins after all of them asked.
func (s *Sources) readVault(ctx context.Context, ref, rest string) (string, error) {
	path, key, _ := strings.Cut(rest, "#")
	data, err := s.reads.Do(ctx, path, func(ctx context.Context) (map[string]any, error) { return s.askVault(ctx, path) })
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return "", failed(e.Err, "%s: %s", ref, e.Message)
		}
		return "", err
	}
	switch value := data[key].(type) {
	case string:
		return value, nil
	case nil:
		return "", failed(nil, "%s: the secret has no key %q; check the part after #", ref, key)
	default:
		return "", failed(nil, "%s: the value of %q is no text", ref, key)
	}
}

// askVault makes one request (KV v2, read secret version). Messages do not repeat ref.
func (s *Sources) askVault(ctx context.Context, path string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, vaultTimeout)
	defer cancel()
	req, err := s.vaultRequest(ctx, path)
	if err != nil {
		return nil, err
	}
	if s.transport == nil {
		return nil, failed(nil, "Vault cannot be reached from here")
	}
	res, err := s.transport.RoundTrip(req) // which follows no redirect: the token goes to VAULT_ADDR alone
	if err != nil {
		return nil, failed(err, "Vault does not answer at VAULT_ADDR; check that it runs and that the server can reach it")
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, failed(err, "the answer of Vault broke off")
	}
	return readAnswer(res.StatusCode, body)
}

func (s *Sources) vaultRequest(ctx context.Context, path string) (*http.Request, error) {
	address, _ := s.getenv("VAULT_ADDR")
	base, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil {
		return nil, failed(nil, "VAULT_ADDR is not set in the environment of the server, or is no address such as https://vault.example.com:8200")
	}
	token, err := s.vaultToken()
	if err != nil {
		return nil, err
	}
	mount, rest, _ := strings.Cut(path, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("v1", mount, "data", rest).String(), nil)
	if err != nil {
		return nil, failed(nil, "VAULT_ADDR is no address")
	}
	req.Header.Set("X-Vault-Token", token)
	req.Header.Set("X-Vault-Request", "true")
	if namespace, set := s.getenv("VAULT_NAMESPACE"); set && namespace != "" {
		req.Header.Set("X-Vault-Namespace", namespace)
	}
	return req, nil
}

// vaultToken is read anew each time: agents replace the file.
func (s *Sources) vaultToken() (string, error) {
	if token, set := s.getenv("VAULT_TOKEN"); set && token != "" {
		return token, nil
	}
	path, _ := s.getenv("VAULT_TOKEN_FILE")
	if path == "" {
		return "", failed(nil, "the server has no token for Vault: set VAULT_TOKEN or VAULT_TOKEN_FILE in its environment")
	}
	text, err := os.ReadFile(path)
	token := strings.TrimSpace(string(text))
	if err != nil || token == "" || strings.ContainsAny(token, "\r\n") {
		return "", failed(err, "the token of Vault cannot be read from VAULT_TOKEN_FILE")
	}
	return token, nil
}

// readAnswer reads data of a KV v2 answer. Nothing of a body goes into a message.
func readAnswer(status int, body []byte) (map[string]any, error) {
	var answer struct {
		Data *struct {
			Data     map[string]any `json:"data"`
			Metadata struct {
				DeletionTime string `json:"deletion_time"`
				Destroyed    bool   `json:"destroyed"`
			} `json:"metadata"`
		} `json:"data"`
	}
	broken := json.NewDecoder(bytes.NewReader(body)).Decode(&answer)
	gone := broken == nil && answer.Data != nil && (answer.Data.Metadata.DeletionTime != "" || answer.Data.Metadata.Destroyed)
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return nil, failed(nil, "the server's token may not read it in Vault (status %d): check the policy and that the token has not ended", status)
	case gone && (status == http.StatusNotFound || answer.Data.Data == nil):
		return nil, failed(nil, "the newest version was deleted in Vault: undelete it or write another")
	case status == http.StatusNotFound:
		return nil, failed(nil, "it does not exist in Vault: check mount and path; the mount must be a KV version 2 engine")
	case status == http.StatusServiceUnavailable:
		return nil, failed(nil, "Vault is sealed or in maintenance (status 503)")
	case status != http.StatusOK:
		return nil, failed(nil, "Vault answered with status %d", status)
	case broken != nil || answer.Data == nil || answer.Data.Data == nil:
		return nil, failed(nil, "the answer of Vault is none of a KV version 2 engine")
	default:
		return answer.Data.Data, nil
	}
}
