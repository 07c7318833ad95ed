package webhook

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// problem is an error answer of a webhook: application/problem+json (RFC 9457), of the same
// shape as the API's.
type problem struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Detail    string          `json:"detail"`
	RequestID string          `json:"request_id"` // from the server that mounts Hooks; the log has it too
	Run       string          `json:"run_id,omitempty"`
	Errors    []fault.Problem `json:"errors"`
}

// requestIDHeader is set before Hooks gets a request.
const requestIDHeader = "X-Request-Id"

func refuse(w http.ResponseWriter, status int, detail string) {
	writeProblem(w, problem{Status: status, Detail: detail})
}

func writeProblem(w http.ResponseWriter, p problem) {
	p.Type, p.Title, p.RequestID = "about:blank", http.StatusText(p.Status), w.Header().Get(requestIDHeader)
	if p.Errors == nil {
		p.Errors = []fault.Problem{}
	}
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte("{}")
	}
	writeJSON(w, p.Status, "application/problem+json", text)
}

// accepted answers that a run is stored.
func accepted(w http.ResponseWriter, id runs.ID) {
	writeJSON(w, http.StatusAccepted, "application/json", []byte(`{"run_id":"`+id.String()+`"}`))
}

// writeAnswer writes the answer of a respond node. The headers of this package are set last, so
// that an author cannot remove the ones that keep the answer from acting on this origin.
func (s *Server) writeAnswer(w http.ResponseWriter, a *runs.Answer) {
	h := w.Header()
	own := maps.Clone(h)
	delete(own, "Cache-Control")
	maps.Copy(h, a.Header)
	maps.Copy(h, own)
	if len(a.Body) > 0 {
		h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the caller may have gone
}

func writeJSON(w http.ResponseWriter, status int, contentType string, text []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller may have gone
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// statusHungUp is the status in log and metrics of a caller that did not wait for the answer (as
// in nginx). It is never sent.
const statusHungUp = 499

// hungUp reports whether the caller is gone.
func hungUp(w http.ResponseWriter, r *http.Request) bool {
	if r.Context().Err() == nil {
		return false
	}
	w.WriteHeader(statusHungUp)
	return true
}
