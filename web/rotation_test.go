package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestStagedRotation(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") == "canary-wrong" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	const path = "/api/v1/credentials/api"
	noSecret := []string{"canary-"}
	newSetup(t).admin().run([]scenario{
		{name: "create", method: "POST", path: "/api/v1/credentials", body: `{"id": "api", "type": "api_key", "grace": "1h",
			"fields": {"key": "X-Key", "value": "canary-old"}, "allowed_hosts": ["` + service.URL + `"], "test_url": "` + service.URL + `"}`,
			status: 201, has: []string{`"candidate":null`, `"fall_back":null`}},
		{name: "promote without a candidate", method: "POST", path: path + "/promote", status: 409, has: []string{"has no candidate"}},
		{name: "test without a candidate", method: "POST", path: path + "/test", body: `{"candidate": true}`, status: 409, has: []string{"has no candidate"}},
		{name: "stage without a body", method: "PUT", path: path + "/candidate", status: 400, has: []string{"the body is missing"}},
		{name: "stage nothing", method: "PUT", path: path + "/candidate", body: `{}`, status: 422, has: []string{`"path":"/fields"`, `"code":"required"`}},
		{name: "stage something else", method: "PUT", path: path + "/candidate", body: `{"fields": {"valeu": "canary-wrong"}, "name": "canary-x"}`, status: 422,
			has: []string{`"path":"/name"`}, hasNot: noSecret},
		{name: "stage a wrong field", method: "PUT", path: path + "/candidate", body: `{"fields": {"valeu": "canary-wrong"}}`, status: 422,
			has: []string{`"path":"/fields/valeu"`, "did you mean"}, hasNot: noSecret},
		{name: "stage", method: "PUT", path: path + "/candidate", body: `{"fields": {"value": "canary-wrong"}}`, status: 200,
			has: []string{`"candidate":{"fields":{"key":"X-Key"},"secrets":{"value":{"set":true`, `"created_by":"token:admin-token","test":null`, `"version":1`}, hasNot: noSecret},
		{name: "test the current version", method: "POST", path: path + "/test", body: `{}`, status: 200, has: []string{`"ok":true`}},
		{name: "test the candidate", method: "POST", path: path + "/test", body: `{"candidate": true}`, status: 200, has: []string{`"ok":false`}, hasNot: noSecret},
		{name: "remembered", method: "GET", path: path, status: 200, has: []string{`"test":{"ok":false,"message":"`, `"suggestion":"Enter the secret again`}},
		{name: "promote what fails", method: "POST", path: path + "/promote", body: `{"fall_back": true}`, status: 409,
			has: []string{"did not pass its test and was not promoted", `"path":"/candidate"`, `"code":"test_failed"`}, hasNot: noSecret},
		{name: "drop", method: "DELETE", path: path + "/candidate", status: 200, has: []string{`"candidate":null`, `"version":1`}},
		{name: "drop again", method: "DELETE", path: path + "/candidate", status: 200},
		{name: "stage another", method: "PUT", path: path + "/candidate", body: `{"fields": {"value": "canary-new"}}`, status: 200},
		{name: "misspelled", method: "POST", path: path + "/promote", body: `{"fallback": true}`, status: 422, has: []string{`"path":"/fallback"`}},
		{name: "promote", method: "POST", path: path + "/promote", body: `{"fall_back": true}`, status: 200,
			has: []string{`"version":2`, `"candidate":null`, `"fall_back":{"version":1,"until":"`, `"status":"ok"`}, hasNot: noSecret},
		{name: "versions", method: "GET", path: path + "/versions", status: 200, has: []string{`"origin":"promotion"`, `"origin":"edit"`}, hasNot: noSecret},
		{name: "roll back", method: "POST", path: path + "/rollback", body: `{}`, status: 200, has: []string{`"version":3`, `"fall_back":null`}, hasNot: noSecret},
		{name: "put takes back what get gave", method: "PATCH", path: path, body: `{"candidate": null, "fall_back": {"version": 1, "until": null}}`, status: 200, has: []string{`"version":3`, `"fall_back":null`}},
	})
}
