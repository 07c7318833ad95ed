package keyflow_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The sizes at which a package, a file or a type has become hard to hold in one's head
// (CONTRIBUTING.md). Commands and tests are exempt from the limits of a package.
const (
	maxFiles   = 25
	maxLines   = 4000
	maxFile    = 600
	maxFields  = 17
	maxMethods = 40
	maxFunc    = 80
)

// TestSizes keeps packages, files, types and functions within their limits.
func TestSizes(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, "keyflow/")
		if strings.HasSuffix(path, "test") {
			continue // a suite has a method for each promise, a test server all that it saw
		}
		files, lines, methods := 0, 0, map[string]int{}
		for _, name := range p.GoFiles {
			m := measure(t, filepath.Join(p.Dir, name), methods)
			files++
			lines += m
			if m > maxFile {
				t.Errorf("%s/%s has %d lines, at most %d: split it by purpose", path, name, m, maxFile)
			}
		}
		if folder(path) != "cmd" && (files > maxFiles || lines > maxLines) {
			t.Errorf("%s has %d files and %d lines, at most %d and %d: give one of its purposes a package", path, files, lines, maxFiles, maxLines)
		}
		for name, n := range methods {
			if n > maxMethods {
				t.Errorf("%s.%s has %d methods, at most %d: it does more than one thing", path, name, n, maxMethods)
			}
		}
	}
}

// measure counts the methods of each type, checks structs and functions of a file, and
// returns its lines.
func measure(t *testing.T, file string, methods map[string]int) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok && !isRecord(s) && s.Fields.NumFields() > maxFields {
				t.Errorf("%s: struct %s has %d fields, at most %d: group what belongs together", set.Position(n.Pos()), n.Name.Name, s.Fields.NumFields(), maxFields)
			}
		case *ast.FuncDecl:
			if length := set.Position(n.End()).Line - set.Position(n.Pos()).Line; length > maxFunc {
				t.Errorf("%s: %s has %d lines, at most %d", set.Position(n.Pos()), n.Name.Name, length, maxFunc)
			}
			if n.Recv != nil {
				methods[receiver(n.Recv.List[0].Type)]++
			}
		}
		return true
	})
	return bytes.Count(text, []byte("\n"))
}

// isRecord reports whether a struct is plain data: a row or a message, whose fields have tags,
// or a record or options, whose fields are all exported. Their number is that of the table,
// the format or the choices.
func isRecord(s *ast.StructType) bool {
	exported := true
	for _, field := range s.Fields.List {
		if field.Tag != nil {
			return true
		}
		for _, name := range field.Names {
			exported = exported && name.IsExported()
		}
	}
	return exported
}

func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
