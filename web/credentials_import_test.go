package web

import (
	"strings"
	"testing"

	"keyflow/credentials/transfer"
)

func TestImportOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	admin := s.admin()
	const path = "/api/v1/credentials/import"
	csv := []string{"Content-Type", "text/csv; charset=utf-8"}
	hasNot := []string{canary}
	rows := "id,type,allowed_hosts,fields.username,fields.password\r\nerp,basic_auth,erp.acme.kr,it," + canary + "\r\n"
	large := strings.Repeat(" ", transfer.MaxBytes)
	admin.run([]scenario{
		{name: "dry run", method: "POST", path: path + "?dry_run=true", body: rows, headers: csv, status: 200, hasNot: hasNot,
			has: []string{`{"dry_run":true,"created":1,"updated":0,"unchanged":0,"items":[{"id":"erp","action":"create","changed":["allowed_hosts","fields.password","fields.username","type"]}]}`}},
		{name: "nothing yet", method: "GET", path: "/api/v1/credentials/erp", status: 404},
		{name: "CSV", method: "POST", path: path, body: rows, headers: csv, status: 200, has: []string{`"dry_run":false,"created":1`}, hasNot: hasNot},
		{name: "JSON", method: "POST", path: path + "?mode=update", body: `{"items":[{"id":"erp","fields":{"password":"canary-other"}}]}`, status: 200, has: []string{`"updated":1`, `"changed":["fields.password"]`}, hasNot: []string{"canary-other"}},
		{name: "a list", method: "POST", path: path, body: `[{"id":"erp","name":"erp"}]`, status: 200, has: []string{`"unchanged":1,"items":[{"id":"erp","action":"unchanged","changed":[]}]`}},
		{name: "problems", method: "POST", path: path, body: `[{"id":"erp","fields":{"pasword":"` + canary + `"}},{"id":"new","namee":"` + canary + `"}]`, status: 422,
			has: []string{`"path":"/items/0/fields/pasword","code":"unknown_field"`, `"path":"/items/1/namee"`, `"path":"/items/1/type"`, "nothing was imported: 2 of 2 rows are not valid, 3 problems"}, hasNot: hasNot},
		{name: "line", method: "POST", path: path, body: "id,name\nx y,a\n", headers: csv, status: 422, has: []string{`"path":"/items/0/id"`, `"message":"line 2: must be 1 to 63`, `"line":2`}},
		{name: "a key twice", method: "POST", path: path, body: `{"items":[{"id":"a"},{"id":"b","fields":{"password":"` + canary + `","password":"x"}}]}`, status: 422, has: []string{`"path":"/items/1/fields/password","code":"duplicate_key"`}, hasNot: hasNot},
		{name: "secret as a key", method: "POST", path: path, body: `{"` + canary + `":[],"items":[{"id":"erp","` + canary + `":1}]}`, status: 422, has: []string{`"path":"/items/0","code":"unknown_field"`, `"path":"","code":"unknown_field"`}, hasNot: hasNot},
		{name: "not JSON", method: "POST", path: path, body: `[{"id":` + canary, status: 400, has: []string{"line 1, column 8"}, hasNot: hasNot},
		{name: "not a list", method: "POST", path: path, body: `{"id":"x"}`, status: 422, has: []string{"it must be a list of credentials", `"path":"/id"`}},
		{name: "not CSV", method: "POST", path: path, body: "id\n\"" + canary, headers: csv, status: 400, has: []string{"on line 2 does not end"}, hasNot: hasNot},
		{name: "no header", method: "POST", path: path, body: "erp," + canary + "\n", headers: csv, status: 422, has: []string{"the first row must name the columns"}, hasNot: hasNot},
		{name: "other form", method: "POST", path: path, body: rows, headers: []string{"Content-Type", "application/vnd.ms-excel"}, status: 400, has: []string{"text/csv"}, hasNot: hasNot},
		{name: "other encoding", method: "POST", path: path, body: "id,name\nerp,\xbe\xc8\n", headers: []string{"Content-Type", "text/csv; charset=euc-kr"}, status: 200, has: []string{`"changed":["name"]`}, hasNot: hasNot},
		{name: "its name", method: "GET", path: "/api/v1/credentials/erp", status: 200, has: []string{`"name":"안"`}},
		{name: "UTF-16", method: "POST", path: path, body: "\xff\xfei\x00d\x00,\x00n\x00a\x00m\x00e\x00\n\x00e\x00r\x00p\x00,\x00\x48\xc5\n\x00", headers: csv, status: 200, has: []string{`"unchanged":1`}},
		{name: "JSON with a mark", method: "POST", path: path, body: "\ufeff" + `[{"id":"erp","name":"erp"}]`, status: 200, has: []string{`"changed":["name"]`}},
		{name: "JSON in another encoding", method: "POST", path: path, body: "[{\"id\":\"erp\",\"name\":\"\xbe\xc8\"}]", headers: []string{"Content-Type", "application/json; charset=euc-kr"}, status: 200, has: []string{`"changed":["name"]`}},
		{name: "broken encoding", method: "POST", path: path, body: "id,name\nerp,\xbe\n", headers: []string{"Content-Type", "text/csv; charset=euc-kr"}, status: 400, has: []string{"the import is not valid euc-kr"}, hasNot: hasNot},
		{name: "unknown encoding", method: "POST", path: path, body: rows, headers: []string{"Content-Type", "text/csv; charset=klingon"}, status: 400, has: []string{"klingon"}, hasNot: hasNot},
		{name: "mode", method: "POST", path: path + "?mode=replace", body: "[]", status: 422, has: []string{`"path":"?mode"`}},
		{name: "folder", method: "POST", path: path + "?folder=x", body: rows, headers: csv, status: 422, has: []string{`"path":"?folder"`}},
		{name: "too many", method: "POST", path: path, body: "id\n" + strings.Repeat("x\n", transfer.MaxRows+1), headers: csv, status: 422, has: []string{"at most 10000"}},
		{name: "as large as can be", method: "POST", path: path, body: `[{"id":"erp"}]` + large[15:], status: 200},
		{name: "too large", method: "POST", path: path, body: `[{"id":"erp"}]` + large, status: 413, has: []string{"the body is too large"}},
	})
}
