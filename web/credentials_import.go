package web

import (
	"bytes"
	"context"
	"mime"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/vault"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/web/session"
)

// importBody is the JSON form of an import, for the document of the API.
type importBody struct {
	Items []credentials.Input `json:"items" nullable:"false"`
}

type credentialImport struct {
	ContentType string                 `header:"Content-Type"`
	DryRun      bool                   `query:"dry_run" doc:"Only tell what would happen."`
	Mode        credentials.ImportMode `query:"mode" enum:"upsert,update" default:"upsert" doc:"update: an unknown id is an error."`
	Folder      string                 `query:"folder" doc:"Every credential must be in this folder or below; new ones are made there."`
	JSONBody
}

func (s *server) importCredentials(ctx context.Context, who session.Who, in *credentialImport) (*answer[credentials.ImportPlan], error) {
	file, err := readImport(in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	plan, err := s.credentials.Import(ctx, who.Caller, credentials.ImportOptions{DryRun: in.DryRun, Mode: in.Mode, Folder: in.Folder}, file)
	if err != nil {
		return nil, err
	}
	return ok(plan), nil
}

// readImport reads the rows; none of them keeps a part of raw, which is a pooled buffer.
func readImport(contentType string, raw []byte) (vault.ImportFile, error) {
	media, params, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(params["charset"])
	switch {
	case err == nil && media == "text/csv" && (charset == "" || charset == "utf-8"):
		return vault.CSVImport(bytes.NewReader(raw))
	case contentType == "" || err == nil && media == "application/json":
		v, err := jsonvalue.DecodeStrict(raw)
		if err != nil {
			return vault.ImportFile{}, malformed(raw, err)
		}
		return vault.JSONImport(v)
	default:
		return vault.ImportFile{}, fault.New(fault.Malformed, "the Content-Type of an import is application/json or text/csv (UTF-8)")
	}
}
