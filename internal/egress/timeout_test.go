package egress_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"keyflow/internal/egress"
)

// TestOwnTimeoutAllowsSilence asks a silent upstream twice: without a timeout of its own a request
// ends, with one it waits on.
func TestOwnTimeoutAllowsSilence(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ path, message string }{
		"before the answer":       {"/headers", "timed out (headers)"},
		"in the middle of a body": {"/body", "sent no further byte of its answer in time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			speak, asked := make(chan struct{}), make(chan struct{}, 2)
			upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/body" {
					w.(http.Flusher).Flush()
				}
				asked <- struct{}{}
				<-speak
				_, _ = io.WriteString(w, "hello")
			})
			tr := transport(t, "private")
			tr.SetSilence(50 * time.Millisecond)
			client := egress.NewClient(tr, egress.ClientOptions{})
			patient := make(chan error, 1)
			go func() { patient <- read(egress.WithOwnTimeout(t.Context()), client, upstream.URL+tt.path) }()
			<-asked
			err := read(t.Context(), client, upstream.URL+tt.path) // silent for as long as the limit
			if e, ok := egress.AsError(err); !ok || e.Code != egress.CodeTimeout || !e.Timeout || e.Message != tt.message {
				t.Errorf("without a timeout of its own: %v, want %s", err, tt.message)
			}
			close(speak)
			if err := <-patient; err != nil {
				t.Errorf("with a timeout of its own: %v", err)
			}
		})
	}
}

func read(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.ReadAll(res.Body)
	return err
}
