package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"keyflow/internal/decimal"
	"keyflow/internal/jsonvalue"
)

// InputSchema is the compiled JSON Schema (2020-12 unless it says otherwise) of a
// workflow's input. It is immutable and safe for concurrent use.
type InputSchema struct{ schema *jsonschema.Schema }

// schemaAddress is the base URI of input schemas. Nothing is ever loaded from it.
const schemaAddress = "keyflow:input"

// noLoader refuses what checker.references does not see, for example an unknown "$schema".
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, errors.New("another document cannot be used")
}

// compileInput compiles a schema. On error, path leads to the part that is wrong.
func compileInput(schema any) (compiled *InputSchema, path []string, err error) {
	if path := longNumber(schema, nil); path != nil {
		return nil, path, errLongNumber
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaAddress, schema); err != nil {
		return nil, nil, schemaError(err)
	}
	s, err := c.Compile(schemaAddress)
	if err == nil {
		return &InputSchema{s}, nil, nil
	}
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if v, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			leaf := leaves(v)[0]
			return nil, leaf.InstanceLocation, errors.New(explain(leaf))
		}
	}
	return nil, nil, schemaError(err)
}

// schemaError hides the made-up address from the author.
func schemaError(err error) error {
	if load, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return fmt.Errorf("%q: %w", clip(load.URL, 80), load.Err)
	}
	return errors.New(strings.NewReplacer(schemaAddress+"#", "", schemaAddress, "").Replace(clip(err.Error(), 300)))
}

// Check returns what is wrong with an input, decoded as plain data. Paths are JSON pointers
// into the input; messages never repeat its values.
func (s *InputSchema) Check(input any) []Problem {
	if s == nil {
		return nil
	}
	if path := longNumber(input, nil); path != nil {
		return []Problem{{Path: pointerOf(path), Code: codeValue, Message: errLongNumber.Error()}}
	}
	err := s.schema.Validate(input)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []Problem{{Code: codeValue, Message: "the input cannot be checked against the workflow's schema"}}
	}
	var problems []Problem
	for _, leaf := range leaves(invalid) {
		problems = append(problems, Problem{Path: pointerOf(leaf.InstanceLocation), Code: codeValue, Message: explain(leaf)})
		if len(problems) == maxProblems {
			break
		}
	}
	return problems
}

var errLongNumber = fmt.Errorf("a number of more than %d digits cannot be checked against a schema", decimal.MaxDigits)

// longNumber leads to a number that the schema library would write out in full, however many
// digits its exponent asks for; nil when there is none.
func longNumber(v any, path []string) []string {
	switch v := v.(type) {
	case json.Number:
		if d, err := decimal.Parse(string(v)); err != nil || !d.Fits() {
			return append([]string{}, path...)
		}
	case []any:
		for i, item := range v {
			if found := longNumber(item, append(path, strconv.Itoa(i))); found != nil {
				return found
			}
		}
	case map[string]any:
		for name, member := range v {
			if found := longNumber(member, append(path, name)); found != nil {
				return found
			}
		}
	}
	return nil
}

func pointerOf(path []string) string {
	pointer := ""
	for _, name := range path {
		pointer = pointerTo(pointer, name)
	}
	return pointer
}

// FillInput returns a run's input (JSON) with the defaults that the workflow's schema states for
// what is missing, checked against the schema. An empty input is the default of the whole schema,
// else {}. Paths of problems are JSON pointers into the input. A workflow without a schema takes
// any JSON as it is.
func FillInput(d *Definition, input json.RawMessage) (json.RawMessage, []Problem) {
	if len(input) == 0 {
		input = d.InputSchema.empty()
	}
	v, err := jsonvalue.Decode(input)
	if err != nil {
		return nil, []Problem{{Code: codeMalformed, Message: "the input is not valid JSON: " + err.Error()}}
	}
	filled, err := d.InputSchema.fill(v)
	if err != nil {
		return nil, []Problem{{Code: codeValue, Message: err.Error()}}
	}
	if problems := d.InputSchema.Check(v); len(problems) > 0 || !filled {
		return input, problems
	}
	if input, err = jsonvalue.Encode(v); err != nil {
		return nil, []Problem{{Code: codeValue, Message: "the input with the defaults of its schema cannot be written as JSON"}}
	}
	return input, nil
}

// leaves returns the errors that no other error explains, in document order.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

// explain is the message of one error. The library's texts are used where they hold parts
// of the schema only.
func explain(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return "missing " + quotedList(k.Missing)
	case *kind.AdditionalProperties:
		return "unknown " + quotedList(k.Properties)
	case *kind.Type:
		return fmt.Sprintf("must be %s, not %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Pattern:
		return fmt.Sprintf("does not match the pattern %s", k.Want)
	case *kind.Format:
		return fmt.Sprintf("is not a valid %s", k.Want)
	case *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum, *kind.MultipleOf,
		*kind.ContentEncoding, *kind.ContentMediaType, *kind.InvalidJsonValue:
		return "the number or text is not in the allowed range: " + strings.Join(k.KeywordPath(), "/")
	case *kind.FalseSchema:
		return "must not be given"
	default:
		return e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	}
}

func quotedList(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, n := range names {
		quoted = append(quoted, fmt.Sprintf("%q", clip(n, 80)))
	}
	return strings.Join(quoted, ", ")
}
