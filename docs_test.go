package keyflow_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var (
	fencedBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```[ \t]*$")
	codeSpan    = regexp.MustCompile("`[^`\n]*`")
	inlineLink  = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	notInSlug   = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	namedPath   = regexp.MustCompile("`((?:[a-z0-9_]+/)+(?:[a-z0-9_.]+\\.(?:go|md|ts|tsx|sql|json))?)`")
	namedTest   = regexp.MustCompile("`(Test[A-Z]\\w+)`")
	errorCode   = regexp.MustCompile(`^"[a-z]+(_[a-z]+)*"$`)
	docsPath    = regexp.MustCompile(`(?:^|[^/\w])(docs/[a-z0-9_/-]+\.md)\b`)
)

// TestLinksInMarkdownResolve holds every relative link to a file that exists and, where it
// has a fragment, to a heading of that file.
func TestLinksInMarkdownResolve(t *testing.T) {
	t.Parallel()
	for _, page := range sourceFiles(t, ".md") {
		text := codeSpan.ReplaceAllString(fencedBlock.ReplaceAllString(read(t, page), ""), "")
		for _, link := range inlineLink.FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, link[1])
				continue
			}
			if fragment != "" && !slices.Contains(anchors(read(t, file)), fragment) {
				t.Errorf("%s links to %s, but %s has no such heading", page, link[1], file)
			}
		}
	}
}

// TestEveryPageIsListed holds the index of docs/, or of a page's folder, to link to the page.
func TestEveryPageIsListed(t *testing.T) {
	t.Parallel()
	for _, page := range sourceFiles(t, ".md") {
		if !strings.HasPrefix(page, "docs"+string(filepath.Separator)) || page == filepath.Join("docs", "README.md") {
			continue
		}
		listed := false
		for _, index := range []string{filepath.Join("docs", "README.md"), filepath.Join(filepath.Dir(page), "README.md")} {
			link, err := filepath.Rel(filepath.Dir(index), page)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(index); err == nil && strings.Contains(read(t, index), "]("+filepath.ToSlash(link)+")") {
				listed = true
			}
		}
		if !listed {
			t.Errorf("%s is in no index: add it to the README.md of its folder or of docs", page)
		}
	}
}

// TestLinesOfPagesAreShort holds prose to 100 columns; tables, code and links may be longer.
func TestLinesOfPagesAreShort(t *testing.T) {
	t.Parallel()
	for _, page := range sourceFiles(t, ".md") {
		code := false
		number := 0
		for line := range strings.Lines(read(t, page)) {
			number++
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			words := strings.Fields(line)
			if code || strings.HasPrefix(line, "|") || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "<!--") || len(words) < 4 {
				continue
			}
			if columns := utf8.RuneCountInString(line); columns > 110 {
				t.Errorf("%s:%d has %d columns: break it at 100", page, number, columns)
			}
		}
	}
}

// TestPagesNamedInCodeExist holds comments, messages and build files that name a page of docs/
// to a page that exists.
func TestPagesNamedInCodeExist(t *testing.T) {
	t.Parallel()
	for _, file := range sourceFiles(t, ".go", ".ts", ".tsx", ".json", ".yml", "Makefile") {
		for _, page := range docsPath.FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(page[1]); err != nil {
				t.Errorf("%s names %s, which does not exist", file, page[1])
			}
		}
	}
}

// TestArchitectureNamesWhatExists holds the page that everybody reads first to the files and
// folders of today, and to one screen.
func TestArchitectureNamesWhatExists(t *testing.T) {
	t.Parallel()
	file := filepath.Join("docs", "explanation", "architecture.md")
	if named := checkPaths(t, file); named < 20 {
		t.Errorf("%s names only %d paths", file, named)
	}
	if lines := strings.Count(read(t, file), "\n"); lines > 80 {
		t.Errorf("%s has %d lines: it fits a screen no more", file, lines)
	}
}

// TestContributingNamesWhatExists holds the pages about common changes to the files, folders and
// tests of today, and to a screen and a half.
func TestContributingNamesWhatExists(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("docs", "contributing", "*.md"))
	if err != nil || len(pages) < 2 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	var tests strings.Builder
	for _, file := range sourceFiles(t, "_test.go") {
		tests.WriteString(read(t, file))
	}
	for _, page := range pages {
		checkPaths(t, page)
		for _, name := range namedTest.FindAllStringSubmatch(read(t, page), -1) {
			if !strings.Contains(tests.String(), "func "+name[1]+"(") {
				t.Errorf("%s names %s, which is not a test", page, name[1])
			}
		}
		if lines := strings.Count(read(t, page), "\n"); lines > 90 {
			t.Errorf("%s has %d lines: keep it to a screen and a half", page, lines)
		}
	}
}

// checkPaths holds the paths that a page names to exist, and returns how many there are.
func checkPaths(t *testing.T, page string) int {
	t.Helper()
	paths := namedPath.FindAllStringSubmatch(read(t, page), -1)
	for _, path := range paths {
		if _, err := os.Stat(filepath.FromSlash(path[1])); err != nil {
			t.Errorf("%s names %s, which does not exist", page, path[1])
		}
	}
	return len(paths)
}

// TestEveryErrorCodeIsExplained holds docs/reference/errors.md to name every code that the
// program can answer with.
func TestEveryErrorCodeIsExplained(t *testing.T) {
	t.Parallel()
	page := read(t, filepath.Join("docs", "reference", "errors.md"))
	found := 0
	for _, file := range sourceFiles(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "test"+string(filepath.Separator)) {
			continue
		}
		for _, code := range errorCodes(t, file) {
			found++
			if !strings.Contains(page, "`"+code+"`") {
				t.Errorf("%s has the code %s, which docs/reference/errors.md does not explain", file, code)
			}
		}
	}
	if found < 100 {
		t.Errorf("found only %d codes: are they written in another way now?", found)
	}
}

// errorCodes are the texts of constants that begin with code or Code, and of the field Code of
// literals, in one file.
func errorCodes(t *testing.T, file string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && errorCode.MatchString(l.Value) {
			codes = append(codes, strings.Trim(l.Value, `"`))
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if strings.HasPrefix(strings.ToLower(name.Name), "code") && i < len(n.Values) {
					add(n.Values[i])
				}
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
				add(n.Value)
			}
		}
		return true
	})
	return codes
}

// anchors are the fragments that GitHub makes of a page's headings.
func anchors(text string) []string {
	var all []string
	for _, h := range heading.FindAllStringSubmatch(fencedBlock.ReplaceAllString(text, ""), -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(h[1]), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

// sourceFiles lists the files of the repository whose names end as given, generated and
// installed ones aside.
func sourceFiles(t *testing.T, endings ...string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "dist" || len(name) > 1 && name[0] == '.' {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(path, e) }) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
