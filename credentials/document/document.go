// Package document reads a credential as people write it in JSON (a request, a merge patch, a
// row of a file), writes it back without secrets, and describes it as a JSON Schema. It must not
// know what is stored.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/suggest"
)

// Sizes that no real credential reaches, in bytes; MaxEntries counts.
const (
	MaxName        = 200
	MaxDescription = 4096
	MaxEntries     = 100
	MaxText        = 64 << 10
)

// ReadOnly lists the parts of a credential that an input may repeat and that are ignored.
func ReadOnly() []string {
	return []string{
		"secrets", "state", "version", "created_at", "created_by", "updated_at", "updated_by", "last_used_at",
		"expires", "used_by", "redirect_url", "warnings", "candidate", "fall_back",
	}
}

// Part is one part of an input: where it goes and what it must look like.
type Part struct {
	Target any
	want   string
}

// Parts lists the parts of an input by their names in JSON.
func Parts(in *credentials.Input) map[string]Part {
	const text, texts = "must be a text", "must be a list of texts"
	return map[string]Part{
		"id":                {&in.ID, text},
		"name":              {&in.Name, text},
		"description":       {&in.Description, text},
		"labels":            {&in.Labels, "must be an object of texts"},
		"folder":            {&in.Folder, text},
		"type":              {&in.Type, text},
		"fields":            {&in.Fields, "must be an object"},
		"allowed_hosts":     {&in.AllowedHosts, texts},
		"allowed_workflows": {&in.AllowedWorkflows, texts},
		"rotatable_by":      {&in.RotatableBy, texts},
		"limits":            {&in.Limits, "must be an object of requests, per and concurrency"},
		"failure_rules":     {&in.FailureRules, "must be a list of rules: status (list), headers, body, action"},
		"test_url":          {&in.TestURL, text},
		"expires_at":        {&in.ExpiresAt, "must be a time such as 2026-12-31T00:00:00Z (RFC 3339)"},
		"rotate_every":      {&in.RotateEvery, text},
		"grace":             {&in.Grace, text},
	}
}

// Parse reads a credential as written in JSON (POST, PUT, files). Read-only parts are
// ignored; unknown ones and wrong types are Invalid with every problem, text that is not JSON
// is Malformed.
func Parse(data []byte) (credentials.Input, error) {
	doc, err := decodeObject(data)
	if err != nil {
		return credentials.Input{}, err
	}
	return readInput(doc)
}

func decodeObject(data []byte) (map[string]any, error) {
	v, err := jsonvalue.DecodeStrict(data)
	if repeated, ok := errors.AsType[*jsonvalue.RepeatedKeyError](err); ok {
		return nil, fault.Problems("the body is not valid", []fault.Problem{{
			Path: problem.Pointer(repeated.Path...), Code: problem.DuplicateKey, Message: "is given twice",
		}})
	}
	if err != nil {
		return nil, fault.New(fault.Malformed, "the body is not valid JSON: %v", err)
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, fault.Problems("the body must be a JSON object", []fault.Problem{{Code: problem.InvalidType, Message: "must be an object"}})
	}
	return doc, nil
}

func readInput(doc map[string]any) (credentials.Input, error) {
	in, wrong := ReadParts(doc)
	return in, wrong.Err()
}

// ReadParts is readInput that goes on: what is wrong is missing from the result.
func ReadParts(doc map[string]any) (in credentials.Input, wrong problem.List) {
	parts := Parts(&in)
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		part, ok := parts[name]
		switch {
		case !ok && slices.Contains(ReadOnly(), name):
		case !ok:
			known := slices.Sorted(maps.Keys(parts))
			wrong.Add(problem.NamePointer(name), problem.UnknownField, "is not part of a credential"+suggest.DidYouMean(name, known))
		case name == "fields":
			fields, ok := doc[name].(map[string]any)
			if !ok && doc[name] != nil {
				wrong.Add(problem.Pointer(name), problem.InvalidType, part.want)
			}
			in.Fields = fields
		default:
			if err := readPart(doc[name], part.Target); err != nil {
				wrong.Add(problem.Pointer(name), problem.InvalidType, part.want)
			}
		}
	}
	return in, wrong
}

// readPart is strict inside limits and failure_rules too.
func readPart(value, target any) error {
	text, err := jsonvalue.Canonical(value) // a limit of 5.0 is 5
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(target)
}

// ApplyPatch makes the complete input that a merge patch of c asks for. A null for a field
// stays as null, because for a secret field it means to clear and absence means to keep.
func ApplyPatch(c credentials.Credential, patch []byte) (credentials.Input, error) {
	changes, err := decodeObject(patch)
	if err != nil {
		return credentials.Input{}, err
	}
	doc, err := Patched(c, changes)
	if err != nil {
		return credentials.Input{}, err
	}
	return readInput(doc)
}

// Patched is the document of c after changes; it leaves changes as they are.
func Patched(c credentials.Credential, changes map[string]any) (map[string]any, error) {
	base, err := Of(c)
	if err != nil {
		return nil, err
	}
	doc := mergePatch(base, changes).(map[string]any)
	if changed, ok := changes["fields"].(map[string]any); ok {
		if fields, ok := doc["fields"].(map[string]any); ok {
			for name, value := range changed {
				if value == nil {
					fields[name] = nil
				}
			}
		}
	}
	return doc, nil
}

// Of is c as an input without secrets.
func Of(c credentials.Credential) (map[string]any, error) {
	text, err := json.Marshal(InputOf(c))
	if err != nil {
		return nil, err
	}
	doc, err := decodeObject(text)
	if err != nil {
		return nil, err
	}
	delete(doc, "id")
	delete(doc, "type")
	if c.AllowedWorkflows != nil { // empty is another than absent
		doc["allowed_workflows"] = c.AllowedWorkflows
	}
	return doc, nil
}

// InputOf is c as an input without secrets, id and type.
func InputOf(c credentials.Credential) credentials.Input {
	return credentials.Input{
		Name: c.Name, Description: c.Description, Labels: c.Labels, Folder: c.Folder, Fields: c.Fields,
		AllowedHosts: c.AllowedHosts, AllowedWorkflows: c.AllowedWorkflows, RotatableBy: c.RotatableBy, Limits: c.Limits, FailureRules: c.FailureRules,
		TestURL: c.TestURL, ExpiresAt: c.ExpiresAt, RotateEvery: c.RotateEvery, Grace: c.Grace,
	}
}

// mergePatch is the algorithm of RFC 7396 section 2. It may change target.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged, ok := target.(map[string]any)
	if !ok {
		merged = make(map[string]any)
	}
	for name, value := range changes {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = mergePatch(merged[name], value)
		}
	}
	return merged
}
