package credential

import (
	"bytes"
	"context"
	"mime"

	"keyflow/credentials"
	"keyflow/credentials/transfer"
	"keyflow/internal/charset"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/web/rest"
	"keyflow/web/session"
)

// importBody is the JSON form of an import, for the document of the API.
type importBody struct {
	Items []credentials.Input `json:"items" nullable:"false"`
}

type credentialImport struct {
	ContentType string                 `header:"Content-Type"`
	DryRun      bool                   `query:"dry_run" doc:"Only show what would change."`
	Mode        credentials.ImportMode `query:"mode" enum:"upsert,update" default:"upsert" doc:"update: an unknown id is an error."`
	Folder      string                 `query:"folder" doc:"Every credential must be in this folder or below; new ones are created there."`
	rest.JSONBody
}

func (h *handlers) importCredentials(ctx context.Context, who session.Who, in *credentialImport) (*rest.Answer[credentials.ImportPlan], error) {
	file, err := readImport(in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	plan, err := h.Credentials.Import(ctx, who.Caller, credentials.ImportOptions{DryRun: in.DryRun, Mode: in.Mode, Folder: in.Folder}, file)
	if err != nil {
		return nil, err
	}
	return rest.OK(plan), nil
}

// readImport reads the rows. No row refers to raw, which is a pooled buffer.
func readImport(contentType string, raw []byte) (transfer.File, error) {
	media, _, err := mime.ParseMediaType(contentType)
	isCSV, isJSON := err == nil && media == "text/csv", contentType == "" || err == nil && media == "application/json"
	if !isCSV && !isJSON {
		return transfer.File{}, fault.New(fault.Malformed, "the Content-Type of an import is application/json or text/csv")
	}
	if raw, err = inUTF8(contentType, raw); err != nil {
		return transfer.File{}, err
	}
	if isCSV {
		return transfer.ReadCSV(bytes.NewReader(raw))
	}
	v, err := jsonvalue.DecodeStrict(raw)
	if err != nil {
		return transfer.File{}, rest.Malformed(raw, err)
	}
	return transfer.ReadJSON(v)
}

// inUTF8 decodes what is declared to be in another encoding. Whether UTF-8 is valid is for its
// reader, who says where it is not.
func inUTF8(contentType string, raw []byte) ([]byte, error) {
	encoding, err := charset.Detect(raw, charset.Declared{ContentType: contentType})
	if err == nil && encoding.IsUTF8() {
		return bytes.TrimPrefix(raw, []byte("\ufeff")), nil
	}
	if err == nil {
		raw, err = encoding.Decode(raw)
	}
	if err != nil {
		return nil, fault.New(fault.Malformed, "the import %v", err)
	}
	return raw, nil
}
