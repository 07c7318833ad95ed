package record

import (
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
)

// detailRow is the JSON of steps.detail: attempts and calls with short names, because
// every step of every run has them. Times are microseconds after the step's start.
type detailRow struct {
	Attempts []attemptRow `json:"a,omitempty"`
	Calls    []callRow    `json:"c,omitempty"`
}

type attemptRow struct {
	Number  int             `json:"n"`
	Start   int64           `json:"s,omitempty"`
	Took    *int64          `json:"t,omitempty"` // nil: not finished
	Error   *runs.StepError `json:"e,omitempty"`
	Call    int             `json:"k,omitempty"` // the request is that of Calls[Call-1]
	Request *runs.Request   `json:"r,omitempty"` // else
}

type callRow struct {
	Credential  credentials.ID `json:"i,omitempty"` // "" with a version: that of the step
	Version     int            `json:"v,omitempty"`
	Fingerprint string         `json:"f,omitempty"`
	Host        string         `json:"h,omitempty"` // "": that of URL
	Method      string         `json:"m,omitempty"` // "": GET
	URL         string         `json:"u,omitempty"`
	Status      int            `json:"s,omitempty"`
	Duration    int64          `json:"d,omitempty"` // microseconds
}

// usedBy returns the credential that the step used last, "" for none. A step uses more than one
// only if a template gave another id to a later attempt.
func usedBy(s *runs.Step) credentials.ID {
	for i := len(s.Calls) - 1; i >= 0; i-- {
		if id := s.Calls[i].Credential; id != "" {
			return id
		}
	}
	return ""
}

// detailOf returns nil when the step has neither attempts nor calls. used is the credential
// in the step's own column.
func detailOf(s *runs.Step, used credentials.ID) *detailRow {
	if len(s.Attempts) == 0 && len(s.Calls) == 0 {
		return nil
	}
	d := &detailRow{}
	for i := range s.Calls {
		d.Calls = append(d.Calls, callRowOf(&s.Calls[i], used))
	}
	base := Micros(s.StartedAt)
	for i := range s.Attempts {
		a := &s.Attempts[i]
		row := attemptRow{Number: a.Attempt, Start: a.StartedAt.UnixMicro() - base, Error: a.Error}
		if a.FinishedAt != nil {
			took := a.FinishedAt.UnixMicro() - a.StartedAt.UnixMicro()
			row.Took = &took
		}
		if a.Request != nil {
			if row.Call = LastCall(a.Request, s.Calls); row.Call == 0 {
				row.Request = a.Request
			}
		}
		d.Attempts = append(d.Attempts, row)
	}
	return d
}

func callRowOf(c *credentials.Call, used credentials.ID) callRow {
	row := callRow{
		Credential: c.Credential, Version: c.Version, Fingerprint: c.Fingerprint, Host: c.Host,
		Method: c.Method, URL: c.URL, Status: c.Status, Duration: c.Duration.Microseconds(),
	}
	if row.Credential == used && row.Version > 0 {
		row.Credential = ""
	}
	if row.Host == hostOf(row.URL) {
		row.Host = ""
	}
	if row.Method == "GET" {
		row.Method = ""
	}
	return row
}

// LastCall returns the 1-based position of the last call that r summarizes, 0 for none.
func LastCall(r *runs.Request, calls []credentials.Call) int {
	for i := len(calls) - 1; i >= 0; i-- {
		c := &calls[i]
		if c.URL == r.URL && c.Method == r.Method && c.Status == r.Status && c.Duration.Milliseconds() == r.DurationMS {
			return i + 1
		}
	}
	return 0
}

// hostOf returns the part of a URL between "//" and the path.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "//")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		return rest[:end]
	}
	return rest
}

// restore writes the detail back into the step, whose StartedAt is known. used is the
// credential in the step's own column.
func (d *detailRow) restore(s *runs.Step, used credentials.ID) {
	for i := range d.Calls {
		c := &d.Calls[i]
		call := credentials.Call{
			Credential: c.Credential, Version: c.Version, Fingerprint: c.Fingerprint, Host: c.Host,
			Method: c.Method, URL: c.URL, Status: c.Status, Duration: time.Duration(c.Duration) * time.Microsecond,
		}
		if call.Credential == "" && call.Version > 0 {
			call.Credential = used
		}
		if call.Host == "" {
			call.Host = hostOf(call.URL)
		}
		if call.Method == "" {
			call.Method = "GET"
		}
		s.Calls = append(s.Calls, call)
	}
	base := Micros(s.StartedAt)
	for i := range d.Attempts {
		row := &d.Attempts[i]
		a := runs.Attempt{Attempt: row.Number, StartedAt: Time(base + row.Start), Error: row.Error, Request: row.Request}
		if row.Took != nil {
			end := a.StartedAt.Add(time.Duration(*row.Took) * time.Microsecond)
			a.FinishedAt = &end
		}
		if row.Call > 0 && row.Call <= len(s.Calls) {
			c := &s.Calls[row.Call-1]
			a.Request = &runs.Request{Method: c.Method, URL: c.URL, Status: c.Status, DurationMS: c.Duration.Milliseconds()}
		}
		s.Attempts = append(s.Attempts, a)
	}
}
