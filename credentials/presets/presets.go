// Package presets holds credentials for known providers that lack little: data, one JSON file
// each, and how to fill them in. It must not know what is stored.
package presets

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/fault"
	"keyflow/internal/suggest"
)

//go:embed *.json
var presetFiles embed.FS

// Preset is a credential for a known provider that lacks little: its blanks, and the secrets.
// It is data; a blank stands as <name> in its texts.
type Preset struct {
	ID      string               `json:"id"`
	Name    string               `json:"name"`
	Summary string               `json:"summary"` // one line: what it is for
	Note    string               `json:"note"`    // where the provider keeps what is left to enter
	Type    credentials.TypeName `json:"type"`
	Blanks  []Blank              `json:"blanks"`

	Fields       map[string]any            `json:"fields"`
	AllowedHosts []string                  `json:"allowed_hosts"`
	Limits       *credentials.Limits       `json:"limits"`
	FailureRules []credentials.FailureRule `json:"failure_rules"`
	TestURL      string                    `json:"test_url"`
	DocsURL      string                    `json:"docs_url"`
}

// Blank is a text that only the user of a preset knows, such as the name of a tenant.
type Blank struct {
	Name    string `json:"name"`
	Label   string `json:"label"`
	Help    string `json:"help"`
	Pattern string `json:"pattern"` // RE2, of the whole text
	Example string `json:"example"`
}

var blankForm = regexp.MustCompile(`<([a-z_]+)>`)

// All lists the presets, ordered by id. They are part of the program: an error is one of
// its making.
func All() ([]Preset, error) {
	names, err := fs.Glob(presetFiles, "*.json")
	if err != nil {
		return nil, err
	}
	list := make([]Preset, 0, len(names))
	for _, name := range names {
		text, err := presetFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var p Preset
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&p); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if p.Blanks == nil {
			p.Blanks = []Blank{}
		}
		if p.FailureRules == nil {
			p.FailureRules = []credentials.FailureRule{}
		}
		if p.AllowedHosts == nil {
			p.AllowedHosts = []string{}
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Preset) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// Find returns the preset with the id; NotFound lists the ids there are.
func Find(list []Preset, id string) (Preset, error) {
	known := make([]string, len(list))
	for i, p := range list {
		if p.ID == id {
			return p, nil
		}
		known[i] = p.ID
	}
	return Preset{}, fault.New(fault.NotFound, "there is no preset %.40q%s; there are %s", id, suggest.DidYouMean(id, known), strings.Join(known, ", "))
}

// Fill makes the input that the preset stands for. What remains for the caller are id and
// secrets. Unknown, missing and misshapen blanks are problems at /blanks/NAME; their values are
// not repeated.
func (p Preset) Fill(blanks map[string]string) (credentials.Input, []fault.Problem) {
	var wrong problem.List
	known := make([]string, len(p.Blanks))
	for i, b := range p.Blanks {
		known[i] = b.Name
		value, given := blanks[b.Name]
		path := problem.Pointer("blanks", b.Name)
		switch {
		case !given || value == "":
			wrong.Add(path, problem.Required, "is required: "+b.Label+", for example "+b.Example)
		case !b.fits(value):
			wrong.Add(path, problem.InvalidValue, "must match "+b.Pattern+", for example "+b.Example)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(blanks)) {
		if !slices.Contains(known, name) {
			has := "has no blanks"
			if len(known) > 0 {
				has = "has " + strings.Join(known, ", ")
			}
			wrong.Add(problem.Pointer("blanks", name), problem.UnknownField, "is not a blank of the preset "+p.ID+suggest.DidYouMean(name, known)+"; it "+has)
		}
	}
	if len(wrong.Items) > 0 {
		return credentials.Input{}, wrong.Items
	}
	in := credentials.Input{
		Name: p.Name, Type: p.Type, TestURL: fillText(p.TestURL, blanks), FailureRules: slices.Clone(p.FailureRules),
		Fields: make(map[string]any, len(p.Fields)), AllowedHosts: make([]string, len(p.AllowedHosts)),
	}
	for name, value := range p.Fields {
		in.Fields[name] = fillValue(value, blanks)
	}
	for i, host := range p.AllowedHosts {
		in.AllowedHosts[i] = fillText(host, blanks)
	}
	if p.Limits != nil {
		limits := *p.Limits
		in.Limits = &limits
	}
	return in, nil
}

// fits reports whether the whole of value matches the pattern.
func (b Blank) fits(value string) bool {
	form, err := regexp.Compile(`^(?:` + b.Pattern + `)$`)
	return err == nil && form.MatchString(value)
}

func fillText(text string, blanks map[string]string) string {
	return blankForm.ReplaceAllStringFunc(text, func(blank string) string { return blanks[strings.Trim(blank, "<>")] })
}

// fillValue fills a copy of plain data: texts, booleans and objects of texts.
func fillValue(value any, blanks map[string]string) any {
	switch value := value.(type) {
	case string:
		return fillText(value, blanks)
	case map[string]any:
		filled := make(map[string]any, len(value))
		for name, each := range value {
			filled[name] = fillValue(each, blanks)
		}
		return filled
	default:
		return value
	}
}
