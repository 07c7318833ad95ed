package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"keyflow/cmd/keyflow/demo"
)

func demoAPICommand(p process) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use: "api", Short: "Serve a small protected API to try workflows with", Args: cobra.NoArgs,
		Long: "Serves GET /orders, which takes Basic authentication, and prints a line for each request. The user and\n" +
			"the password are printed at the start; POST /password changes the password. Ctrl-C ends it.",
		Example: "  keyflow demo api\n  curl -u it:demo-password-1 http://127.0.0.1:9000/orders\n  curl -X POST http://127.0.0.1:9000/password",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", listen)
			if err != nil {
				return &exitError{exitCannotStart, fmt.Errorf("cannot listen on %s: %w; choose another --listen address", listen, plainNetError(err))}
			}
			return serveDemoAPI(cmd.Context(), p, l)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9000", "address of the API")
	return cmd
}

// serveDemoAPI serves until ctx is done.
func serveDemoAPI(ctx context.Context, p process, l net.Listener) error {
	api := demo.NewOrders(p.stdout)
	base := "http://" + dialable(l.Addr())
	_, _ = fmt.Fprintf(p.stdout, "a protected API listens on %s\nGET %s/orders takes the user %s and the password %s\nPOST %s/password changes the password\n",
		base, base, demo.OrdersUser, api.Password(), base)
	srv := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return &exitError{exitFailed, fmt.Errorf("serve: %w", err)}
	}
	return nil
}
