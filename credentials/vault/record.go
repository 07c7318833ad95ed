package vault

import (
	"net/http"
	"time"

	"keyflow/credentials"
)

// record tells the run history of one request, and the credential that it was used.
func (t *transport) record(req *http.Request, s *sent, took time.Duration) {
	if s.opened != nil && !t.draft {
		t.resolver.usage.touch(s.opened.ID, t.resolver.now())
	}
	if t.use.Record == nil {
		return
	}
	call := credentials.Call{Host: req.URL.Host, Method: req.Method, URL: req.URL.String(), Duration: took}
	if s.kit.redactor != nil {
		call.URL = s.kit.redactor.String(call.URL)
	}
	if s.opened != nil {
		call.Credential, call.Version, call.Fingerprint = s.opened.ID, s.opened.Version, s.opened.mainFingerprint()
	}
	if s.res != nil {
		call.Status = s.res.StatusCode
	}
	t.use.Record(call)
}

// mainFingerprint names the secret that makes the credential what it is.
func (o *opened) mainFingerprint() string {
	for _, f := range o.typ.Fields {
		if f.Secret && o.Secrets[f.Name].Set {
			return o.Secrets[f.Name].Fingerprint
		}
	}
	return ""
}
