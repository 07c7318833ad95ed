package cells_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials/internal/cells"
	"keyflow/internal/fault"
)

func TestRead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []cells.Row
	}{
		"nothing":              {"", nil},
		"one row":              {"a,b", []cells.Row{{1, []string{"a", "b"}}}},
		"empty rows and cells": {"a,\r\n\r\n,\n,b\n", []cells.Row{{1, []string{"a", ""}}, {4, []string{"", "b"}}}},
		"lines inside quotes":  {"\"a\r\n\",b\nc,\"d\"\"\"", []cells.Row{{1, []string{"a\r\n", "b"}}, {3, []string{"c", `d"`}}}},
		"byte order mark":      {"\ufeffa", []cells.Row{{1, []string{"a"}}}},
		"UTF-16":               {"\xff\xfea\x00,\x00\xfc\x00", []cells.Row{{1, []string{"a", "ü"}}}},
		"UTF-16, big-endian":   {"\xfe\xff\x00a", []cells.Row{{1, []string{"a"}}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cells.Read([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"UTF-16 that is cut":   {"\xff\xfea", "the CSV text is not valid utf-16le"},
		"Latin-1":              {"a\nb\xfc", "the CSV text is not valid UTF-8, on line 2: save it as CSV UTF-8"},
		"quote inside":         {"a\nb\"c", "the CSV text is not valid on line 2: a cell that holds a quote must stand in quotes, and the quote twice"},
		"quote without an end": {"a\n\"b\n", "the CSV text is not valid: a cell that begins with a quote on line 2 does not end"},
		"text behind a quote":  {"\"a\"b", "the CSV text is not valid on line 1: text follows the quote that ends a cell: a quote inside a cell is written twice"},
		"carriage return":      {"a\rb", "the CSV text is not valid on line 1: a carriage return stands alone: lines end with LF or CRLF, and a cell that holds one stands in quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, err := cells.Read([]byte(tt.text))
			if fault.KindOf(err) != fault.Malformed || fault.Message(err) != tt.want {
				t.Errorf("Read = %v, %q, want %q", rows, fault.Message(err), tt.want)
			}
		})
	}
}
