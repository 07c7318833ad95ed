package oauthtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Visit does what a browser does at the provider's authorization URL: it agrees and returns
// the query with which the provider sends the browser back to the redirect URI.
func (s *Server) Visit(ctx context.Context, authorizationURL string) (url.Values, error) {
	browser := &http.Client{
		Transport:     s.http.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizationURL, nil)
	if err != nil {
		return nil, err
	}
	res, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	back, err := res.Location()
	if errors.Is(err, http.ErrNoLocation) {
		return nil, fmt.Errorf("the provider answered status %d and did not redirect", res.StatusCode)
	}
	if err != nil {
		return nil, err
	}
	return back.Query(), nil
}
