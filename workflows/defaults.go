package workflows

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"keyflow/internal/jsonvalue"
)

const (
	// maxDefaults bounds what defaults add to one input, in bytes. It also ends a schema whose
	// defaults contain themselves.
	maxDefaults = 10 << 20
	// defaultOverhead is the size of one default in memory, beyond its text.
	defaultOverhead = 32
)

var errTooManyDefaults = errors.New("the defaults of the input schema add more than 10 MiB or nest without end: make them smaller")

// empty is what stands for an input that is not given.
func (s *InputSchema) empty() json.RawMessage {
	if s != nil {
		for _, part := range applicable(nil, s.schema) {
			if part.Default == nil {
				continue
			}
			if raw, err := jsonvalue.Encode(*part.Default); err == nil {
				return raw
			}
		}
	}
	return json.RawMessage("{}")
}

// fill applies the defaults of the schema to v, in place, and reports whether there were any.
func (s *InputSchema) fill(v any) (filled bool, err error) {
	if s == nil {
		return false, nil
	}
	d := defaults{sizes: map[*jsonschema.Schema]int{}}
	err = d.fill(s.schema, v, 1)
	return d.added > 0, err
}

// defaults fills one input with the defaults of its schema.
type defaults struct {
	added int                        // bytes so far
	sizes map[*jsonschema.Schema]int // of the defaults, as JSON
}

// fill adds the members that v lacks and for which its schema states a default, at every depth.
// A member that is given stays as it is, null included. Defaults below anyOf, oneOf, not and if do not count: they are conditions.
func (d *defaults) fill(schema *jsonschema.Schema, v any, depth int) error {
	if depth > jsonvalue.MaxDepth {
		return errTooManyDefaults
	}
	for _, s := range applicable(nil, schema) {
		var err error
		switch v := v.(type) {
		case map[string]any:
			err = d.object(s, v, depth)
		case []any:
			err = d.list(s, v, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applicable appends s and all schemas that hold for the same value to known.
func applicable(known []*jsonschema.Schema, s *jsonschema.Schema) []*jsonschema.Schema {
	if s == nil || slices.Contains(known, s) {
		return known
	}
	known = append(known, s)
	known = applicable(known, s.Ref)
	known = applicable(known, s.RecursiveRef)
	if s.DynamicRef != nil {
		known = applicable(known, s.DynamicRef.Ref)
	}
	for _, part := range s.AllOf {
		known = applicable(known, part)
	}
	return known
}

// defaultOf returns a copy of the default of a value that is not given.
func (d *defaults) defaultOf(schema *jsonschema.Schema) (v any, ok bool, err error) {
	for _, s := range applicable(nil, schema) {
		if s.Default == nil {
			continue
		}
		size, known := d.sizes[s]
		if !known {
			raw, err := jsonvalue.Encode(*s.Default)
			if err != nil {
				return nil, false, err
			}
			size = len(raw) + defaultOverhead
			d.sizes[s] = size
		}
		if d.added += size; d.added > maxDefaults {
			return nil, false, errTooManyDefaults
		}
		return clone(*s.Default), true, nil
	}
	return nil, false, nil
}

func (d *defaults) object(s *jsonschema.Schema, object map[string]any, depth int) error {
	for name, property := range s.Properties {
		if _, given := object[name]; given {
			continue
		}
		v, ok, err := d.defaultOf(property)
		if err != nil {
			return err
		}
		if ok {
			object[name] = v
		}
	}
	for name, v := range object {
		if err := d.member(s, name, v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// member fills a member of an object by the schemas that s has for its name.
func (d *defaults) member(s *jsonschema.Schema, name string, v any, depth int) error {
	property, known := s.Properties[name]
	if known {
		if err := d.fill(property, v, depth); err != nil {
			return err
		}
	}
	for pattern, schema := range s.PatternProperties {
		if !pattern.MatchString(name) {
			continue
		}
		known = true
		if err := d.fill(schema, v, depth); err != nil {
			return err
		}
	}
	if other, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && !known {
		return d.fill(other, v, depth)
	}
	return nil
}

func (d *defaults) list(s *jsonschema.Schema, list []any, depth int) error {
	for i, v := range list {
		if err := d.fill(itemSchema(s, i), v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// itemSchema is the schema of an element; nil when there is none. Before draft 2020-12 "items"
// was also what "prefixItems" is now.
func itemSchema(s *jsonschema.Schema, i int) *jsonschema.Schema {
	first, rest := s.PrefixItems, s.Items2020
	switch items := s.Items.(type) {
	case []*jsonschema.Schema:
		first = items
		rest, _ = s.AdditionalItems.(*jsonschema.Schema)
	case *jsonschema.Schema:
		rest = items
	}
	if i < len(first) {
		return first[i]
	}
	return rest
}

// clone copies plain data, so that runs do not share the default of their schema.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = clone(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	default:
		return v
	}
}
