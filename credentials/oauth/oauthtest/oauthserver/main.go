// Command oauthserver runs the OAuth provider of package oauthtest as a process of its own,
// for browser tests. It prints one JSON line with its URLs and runs until it is interrupted.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"keyflow/credentials/oauth/oauthtest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	address := flag.String("address", "127.0.0.1:0", "host:port to listen on")
	redirects := flag.String("redirect", "", "comma-separated redirect URIs of the client")
	consent := flag.Bool("consent", false, "show a consent page")
	lifetime := flag.Duration("token-lifetime", 0, "lifetime of access tokens")
	flag.Parse()
	server, err := oauthtest.Start(oauthtest.Options{
		Address: *address, RedirectURIs: strings.FieldsFunc(*redirects, func(r rune) bool { return r == ',' }),
		Consent: *consent, TokenLifetime: *lifetime,
	})
	if err != nil {
		return err
	}
	defer server.Close()
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"url": server.URL, "authorization_url": server.AuthorizationURL, "access_token_url": server.TokenURL,
		"resource_url": server.ResourceURL, "client_id": server.ClientID, "client_secret": server.ClientSecret,
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
	return nil
}
