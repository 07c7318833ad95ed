package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/term"

	"keyflow/credentials/authtype"
)

// peekTime is how long a command that needs no secret waits to see whether stdin has data.
const peekTime = 200 * time.Millisecond

// askSecrets sets the secret fields that a new credential of type t lacks. A terminal is asked
// for the required ones, else for the likely optional one. Other input can supply one value.
func askSecrets(p process, t credentialType, fields map[string]any) error {
	missing := missingSecrets(t, fields)
	if _, ok := terminal(p); ok {
		if len(missing) > 1 && !missing[0].Required || len(missing) == 1 && missing[0].Kind == authtype.KindMap {
			return nil // several are possible: the server reports what is missing
		}
		return promptSecrets(p, missing, fields)
	}
	switch {
	case len(missing) == 1:
		return pipedSecret(p, missing[0], fields)
	case len(missing) > 1 && missing[0].Required:
		return usagef("%s are missing, and stdin can supply only one: %s", fieldNames(missing), fromFileAdvice(missing...))
	case !hasData(p):
		return nil
	case len(missing) > 1:
		return usagef("stdin contains data, but it could be %s: %s", strings.ReplaceAll(fieldNames(missing), " and ", " or "), fromFileAdvice(missing...))
	default:
		return usagef("stdin contains data, but no secret field is missing: leave the input out (< /dev/null), or read all of the credential from it with --from-file -")
	}
}

// missingSecrets lists the secret fields that apply and have no value: the required ones, or if
// there are none the optional ones, of which a single line of text comes before keys and maps.
func missingSecrets(t credentialType, fields map[string]any) []authtype.Field {
	var required, optional, texts []authtype.Field
	for _, field := range t.Fields {
		secret := field.Secret || field.SecretIf != "" && fields[field.SecretIf] == true
		switch _, given := fields[field.Name]; {
		case given || !secret || !applies(field, t, fields):
		case field.Required:
			required = append(required, field)
		case field.Kind == authtype.KindText:
			texts = append(texts, field)
			fallthrough
		default:
			optional = append(optional, field)
		}
	}
	switch {
	case len(required) > 0:
		return required
	case len(texts) == 1:
		return texts
	default:
		return optional
	}
}

// askNamed sets the secret fields that --secret names.
func askNamed(p process, t credentialType, names []string, fields map[string]any) error {
	named := make([]authtype.Field, len(names))
	for i, name := range names {
		named[i] = authtype.Field{Name: name, Label: name, Required: true}
		for _, f := range t.Fields {
			if f.Name == name {
				named[i].Kind = f.Kind
			}
		}
	}
	if _, ok := terminal(p); ok {
		return promptSecrets(p, named, fields)
	}
	if len(named) > 1 {
		return usagef("--secret was given %d times, and stdin can supply only one value: %s", len(named), fromFileAdvice(named...))
	}
	return pipedSecret(p, named[0], fields)
}

// promptSecrets asks for values without echo. An optional field that is left empty is not set.
func promptSecrets(p process, missing []authtype.Field, fields map[string]any) error {
	fd, _ := terminal(p)
	for _, field := range missing {
		note := "not shown"
		if !field.Required {
			note += "; empty for none"
		}
		_, _ = fmt.Fprintf(p.stderr, "%s (%s): ", field.Label, note)
		value, err := term.ReadPassword(fd)
		_, _ = fmt.Fprintln(p.stderr)
		if err != nil {
			return usagef("%w", err)
		}
		if len(value) > 0 || field.Required {
			fields[field.Name] = string(value)
		}
	}
	return nil
}

// pipedSecret sets a field to the text on stdin, without the line end. It refuses text that cannot
// be the value; no message repeats it.
func pipedSecret(p process, field authtype.Field, fields map[string]any) error {
	data, err := readAll(p.stdin)
	if err != nil {
		return err
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	var object map[string]json.RawMessage
	_ = json.Unmarshal(data, &object) // most secrets are not JSON
	switch {
	case value == "" && field.Required:
		return usagef("%s is missing, and stdin is empty: pipe the value into this command, or use %s", field.Name, otherWays(field))
	case value == "":
		return nil
	case object["fields"] != nil:
		return usagef("stdin contains the JSON of a credential: add --from-file -")
	case field.Kind == authtype.KindMap:
		return usagef("%s has several values, which one text on stdin cannot give: %s", field.Name, fromFileAdvice(field))
	case field.Kind != authtype.KindLines && strings.Contains(value, "\n"):
		return usagef("stdin contains several lines, and %s is one: pipe the value alone, or use %s", field.Name, otherWays(field))
	}
	fields[field.Name] = value
	return nil
}

// hasData reports whether stdin, which is no terminal, has data. A pipe that stays open without
// data has none.
func hasData(p process) bool {
	read := make(chan bool, 1)
	go func() {
		n, _ := p.stdin.Read(make([]byte, 1)) // an error is the end
		read <- n > 0
	}()
	late := time.NewTimer(peekTime)
	defer late.Stop()
	select {
	case found := <-read:
		return found
	case <-late.C:
		return false
	}
}

func fieldNames(fields []authtype.Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// fromFileAdvice shows the JSON that sets fields.
func fromFileAdvice(fields ...authtype.Field) string {
	values := make([]string, len(fields))
	for i, f := range fields {
		values[i] = fmt.Sprintf("%q: …", f.Name)
	}
	return fmt.Sprintf(`give them as JSON with --from-file FILE (- is stdin): {"fields": {%s}}`, strings.Join(values, ", "))
}

// otherWays lists how a secret can be given without stdin.
func otherWays(field authtype.Field) string {
	return fmt.Sprintf("--from-file FILE (JSON; - is stdin) or --ref %s=env:NAME", field.Name)
}
