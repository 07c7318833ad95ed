package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Whoever waits for an answer gets it when the process is told to stop, and is cut off when
// the engine has ended: nothing would end the wait.
func TestShutDown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cause  error
		answer bool
	}{
		"told to stop":     {nil, true},
		"the engine ended": {errPartEnded, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inside, stopping := make(chan struct{}), make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(inside)
				select {
				case <-stopping:
					_, _ = io.WriteString(w, "done")
				case <-r.Context().Done():
				}
			}))
			t.Cleanup(server.Close)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-inside
				cancel(tt.cause)
			}()
			ended := make(chan error, 1)
			if tt.answer {
				server.Config.RegisterOnShutdown(func() { close(stopping) })
			}
			go func() { ended <- shutDown(ctx, server.Config) }()
			res, err := server.Client().Get(server.URL)
			if tt.answer != (err == nil) {
				t.Errorf("the caller got %v, %v", res, err)
			}
			if err == nil {
				_ = res.Body.Close()
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
