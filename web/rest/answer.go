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

// PageOf returns a page of views of the items. With more items than the limit, next_cursor is the
// cursor of the last item shown. A limit of 0 means all.
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

// ListOf returns a short list as its only page.
func ListOf[T, V any](items []T, view func(T) V) *Answer[Page[V]] {
	return PageOf(items, 0, view, nil)
}

// OrEmpty returns an empty list for nil, which would be encoded as null.
func OrEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// OrEmptyMap returns an empty map for nil, which would be encoded as null.
func OrEmptyMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Same is a view that changes nothing.
func Same[T any](v T) T { return v }

// UTC converts a time that may be nil to UTC.
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
