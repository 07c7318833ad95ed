package rest

import (
	"net/http"
	"time"

	"keyflow/internal/fault"
)

// Answer is a JSON answer.
type Answer[T any] struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The revision, for If-Match."`
	Location string `header:"Location"`
	Body     T
}

// OK is the answer 200.
func OK[T any](v T) *Answer[T] { return &Answer[T]{Status: http.StatusOK, Body: v} }

// Empty is the answer 204.
type Empty struct{}

// Page is one page of a list.
type Page[T any] struct {
	Items      []T     `json:"items" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Give it as cursor to get the next page; null on the last."`
}

// Paging is the input of every list.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// Fetch is how many items to ask for: one more than the page, to see whether it is the last.
func (p Paging) Fetch() int { return p.Limit + 1 }

// PageOf makes a page of views of what was fetched; cursor names its last item when there
// are more. limit 0 is all.
func PageOf[T, V any](items []T, limit int, view func(T) V, cursor func(T) string) *Answer[Page[V]] {
	more := limit > 0 && len(items) > limit
	if more {
		items = items[:limit]
	}
	p := Page[V]{Items: make([]V, len(items))}
	for i, item := range items {
		p.Items[i] = view(item)
	}
	if more {
		last := cursor(items[len(items)-1])
		p.NextCursor = &last
	}
	return OK(p)
}

// ListOf makes the only page of a short list.
func ListOf[T, V any](items []T, view func(T) V) *Answer[Page[V]] {
	return PageOf(items, 0, view, nil)
}

// OrEmpty gives an absent list its empty form.
func OrEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// OrEmptyMap gives an absent map its empty form.
func OrEmptyMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Same is the view of what is shown as it is.
func Same[T any](v T) T { return v }

// UTC gives a time that may be missing the zone UTC.
func UTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// BadParameter is the error of one query parameter.
func BadParameter(name, message string) error {
	return fault.Problems(name+": "+message, []fault.Problem{{Path: "?" + name, Code: "invalid_parameter", Message: message}})
}
