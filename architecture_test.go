package keyflow_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// layers is the direction of imports, lowest first (docs/explanation/architecture.md). A package may
// import packages of lower layers and of its own folder only.
var layers = []struct {
	folders []string
	reason  string
}{
	{[]string{"internal"}, "leaves: they know nothing of workflows, credentials or runs"},
	{[]string{"workflows", "nodes", "credentials"}, "contracts: they never import one another; engine joins them"},
	{[]string{"engine"}, "decides when steps run; does not know why a run starts"},
	{[]string{"triggers"}, "start runs; do not know the API"},
	{[]string{"web"}, "speaks HTTP to people and programs; nobody imports it but cmd"},
	{[]string{"cmd", "examples", "bench", "faults", "scripts"}, "the only place that knows every adapter"},
}

// owners lists who alone may import a library, and why.
var owners = []struct {
	library string
	// Import paths below keyflow/. A path also allows the packages below it; "/name" allows every
	// package with that last element, and "/name/" every package below such a package.
	allowed []string
	reason  string
}{
	{"gorm.io/", []string{"/sqlstore", "/sqlstore/", "internal/database"}, "rows and SQL stay behind the store contracts"},
	{"github.com/expr-lang/expr", []string{"internal/expression"}, "expressions run only under budgets"},
	{"github.com/robfig/cron", []string{"triggers/schedule"}, "its parser panics on some texts: it is called behind guards"},
	{"golang.org/x/oauth2", []string{"credentials/oauth"}, "its quirks are handled in one place"},
	{"github.com/tink-crypto/", []string{"credentials/internal/sealing"}, "one place encrypts and decrypts"},
	{"keyflow/credentials/internal/sealing", []string{"credentials/internal/decrypted", "credentials/masterkey"}, "one place decrypts; the rotation of the master key seals again"},
	{"github.com/danielgtaylor/huma", []string{"web"}, "the API is one layer"},
	{"github.com/spf13/cobra", []string{"cmd/keyflow"}, "the command line is one layer"},
	{"github.com/golang-jwt/", []string{"credentials/authtype"}, "keys and tokens are made and read in one place"},
	{"github.com/standard-webhooks/", nil, "the other side of tests; the product has one code path for signatures"},
	{"github.com/ory/fosite", []string{"credentials/oauth/oauthtest"}, "a provider for tests; never in the product"},
	{"keyflow/credentials/oauth/oauthtest", []string{"web/ui/e2e", "credentials/oauth/oauthtest"}, "a provider for tests; never in the product"},
}

func TestImportsFollowTheDrawing(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, "keyflow/")
		level := layerOf(from)
		if p.ImportPath == "keyflow" {
			continue
		}
		if level < 0 {
			t.Errorf("%s is in no layer: add its folder to the drawing", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, "keyflow/")
			if !ours || folder(to) == folder(from) {
				continue
			}
			if layerOf(to) >= level && level > 0 || layerOf(to) > level {
				t.Errorf("%s imports %s, but %s", p.ImportPath, imported, layers[level].reason)
			}
		}
	}
}

func TestLibrariesHaveOwners(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, "keyflow/")
		for _, imported := range p.Imports {
			for _, o := range owners {
				if strings.HasPrefix(imported, o.library) && !allows(o.allowed, path) {
					t.Errorf("%s imports %s, but %s (allowed: %s)", p.ImportPath, imported, o.reason, strings.Join(o.allowed, ", "))
				}
			}
		}
	}
}

// The contract of credentials is imported by everyone, so it knows none of the packages behind it.
// Those are layers too: nobody imports the front door but those outside.
func TestCredentialsAreLayers(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			switch {
			case p.ImportPath == "keyflow/credentials" && strings.HasPrefix(imported, "keyflow/credentials/"):
				t.Errorf("the contract imports %s", imported)
			case strings.HasPrefix(p.ImportPath, "keyflow/credentials/") && imported == "keyflow/credentials/vault":
				t.Errorf("%s imports the front door", p.ImportPath)
			}
		}
	}
}

// engineLayers are the packages of the engine, lowest first (docs/decisions/027): each imports only
// those before it. Packages not listed here (sqlstore, enginetest) know the records alone.
var engineLayers = []string{
	"runs", "backoff", "state", "plan", "values", "journal", "ownership", "dispatch", "callback", "events",
	"concurrency", "starts", "live", "attempt", "execution", "",
}

func TestEngineIsLayers(t *testing.T) {
	t.Parallel()
	level := func(path string) int {
		return slices.Index(engineLayers, strings.TrimPrefix(strings.TrimPrefix(path, "keyflow/engine"), "/"))
	}
	for _, p := range packages(t) {
		if !strings.HasPrefix(p.ImportPath, "keyflow/engine") {
			continue
		}
		from := level(p.ImportPath)
		for _, imported := range p.Imports {
			to := level(imported)
			if !strings.HasPrefix(imported, "keyflow/engine") || to < 0 {
				continue
			}
			if from >= 0 && to >= from || from < 0 && to > 0 {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, imported)
			}
		}
	}
}

// Opening a sealed text takes its associated data, a type of the package sealing. Of the packages
// that may import that, only decrypted opens: the other one seals again what it cannot read.
func TestOnePlaceDecrypts(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.ImportPath == "keyflow/credentials/internal/decrypted" || !slices.Contains(p.Imports, "keyflow/credentials/internal/sealing") {
			continue
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.SelectorExpr); ok && call.Sel.Name == "Open" {
					t.Errorf("%s/%s opens a sealed text: only credentials/internal/decrypted does", p.ImportPath, name)
				}
				return true
			})
		}
	}
}

func TestOwnersAreMatchedByPath(t *testing.T) {
	t.Parallel()
	allowed := []string{"/sqlstore", "/sqlstore/", "internal/database"}
	for path, want := range map[string]bool{
		"engine/sqlstore":                 true,
		"engine/sqlstore/record":          true,
		"internal/database":               true,
		"internal/database/migrate":       true,
		"engine":                          false,
		"engine/sqlstores":                false,
		"web/internal/database":           false,
		"internal/databases":              false,
		"credentials/mysqlstore/internal": false,
	} {
		if got := allows(allowed, path); got != want {
			t.Errorf("%s: allowed %t, want %t", path, got, want)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		comments := 0
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				comments++
			}
		}
		if len(p.GoFiles) > 0 && comments != 1 {
			t.Errorf("%s has %d package comments, want one: what it owns and what it must not know", p.ImportPath, comments)
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s/%s has an init function: lists are functions, wiring is in cmd", p.ImportPath, name)
				}
			}
		}
	}
}

func allows(allowed []string, path string) bool {
	for _, a := range allowed {
		if strings.HasPrefix(a, "/") && (strings.HasSuffix(path, a) || strings.HasSuffix(a, "/") && strings.Contains(path, a)) || path == a || strings.HasPrefix(path, a+"/") {
			return true
		}
	}
	return false
}

func folder(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

func layerOf(path string) int {
	first, _, _ := strings.Cut(path, "/")
	for i, l := range layers {
		for _, f := range l.folders {
			if f == first {
				return i
			}
		}
	}
	return -1
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
