package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADMETour follows the README's "Five minutes" as TestPagesWork follows a page.
func TestREADMETour(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tour, _ := strings.Cut(string(readme), "## Five minutes")
	tour, _, _ = strings.Cut(tour, "\n## ")
	runPage(t, parsePage(tour))
}

// TestPagesWork runs every tutorial and how-to page as a reader would: it writes the files that
// the page shows, types the commands of its sessions and compares what they print.
//
// In a page,
//
//   - a block "```json title=NAME" (or any language) is a file of that name;
//   - a block "```console" is a session: a line "$ COMMAND" is a command, "> MORE" continues it,
//     other lines are what it prints. "…" stands for any text, a line "…" for any lines. UUIDs,
//     times, durations and tokens match others of their kind; a UUID that a later command
//     repeats is replaced by the one that was printed. A command must succeed unless the next
//     one is "echo $?". "^C" ends a server that the page has started;
//   - a comment "<!-- type: TEXT -->" before a session is what its prompts read;
//   - http://127.0.0.1:8080 is the server, and api.example.com and 127.0.0.1:9000 the upstream.
//
// A page without "$ keyflow serve" finds a running server.
func TestPagesWork(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"tutorial", "how-to"} {
		pages, err := filepath.Glob(filepath.Join("..", "..", "docs", folder, "*.md"))
		if err != nil || len(pages) == 0 {
			t.Fatalf("no pages in docs/%s: %v", folder, err)
		}
		for _, path := range pages {
			if filepath.Base(path) == "README.md" {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(folder+"/"+strings.TrimSuffix(filepath.Base(path), ".md"), func(t *testing.T) {
				t.Parallel()
				runPage(t, parsePage(string(text)))
			})
		}
	}
}

// block is a file to write or a session to type.
type block struct {
	file    string // its name; "" for a session
	content string
	steps   []step
	typed   string // what the prompts of a session read
}

// step is a command of a session and the lines that it is expected to print.
type step struct {
	command string
	output  []string
}

var (
	pageBlock  = regexp.MustCompile("(?ms)^( *)```([a-z]+)(?: title=(\\S+))? *\n(.*?)^ *```")
	typedInput = regexp.MustCompile(`(?m)^<!-- type: (.*) -->$`)
)

// parsePage returns the files and sessions of a page in their order; other blocks are for
// reading only.
func parsePage(text string) []block {
	var blocks []block
	end := 0
	for _, at := range pageBlock.FindAllStringSubmatchIndex(text, -1) {
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return text[at[2*i]:at[2*i+1]]
		}
		content := strings.ReplaceAll("\n"+part(4), "\n"+part(1), "\n")[1:]
		switch {
		case part(3) != "":
			blocks = append(blocks, block{file: part(3), content: content})
		case part(2) == "console":
			b := block{steps: parseSession(content)}
			if typed := typedInput.FindStringSubmatch(text[end:at[0]]); typed != nil {
				b.typed = typed[1]
			}
			blocks = append(blocks, b)
		}
		end = at[1]
	}
	return blocks
}

func parseSession(content string) []step {
	var steps []step
	for line := range strings.Lines(content) {
		line = strings.TrimRight(line, "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok || line == "^C" {
			if line == "^C" {
				command = line
			}
			steps = append(steps, step{command: command})
		} else if n := len(steps) - 1; n >= 0 {
			if more, ok := strings.CutPrefix(line, "> "); ok && len(steps[n].output) == 0 {
				steps[n].command += "\n" + more
			} else {
				steps[n].output = append(steps[n].output, line)
			}
		}
	}
	return steps
}

func TestParsePage(t *testing.T) {
	t.Parallel()
	page := "# Title\n```json title=a.json\n{}\n```\ntext\n\n<!-- type: s3cret -->\n```console\n$ one \\\n>   more\nout\n…\n$ two\n^C\n```\n```\nnot run\n```\n"
	blocks := parsePage(page)
	if len(blocks) != 2 || blocks[0].file != "a.json" || blocks[0].content != "{}\n" {
		t.Fatalf("blocks: %+v", blocks)
	}
	s := blocks[1]
	if s.typed != "s3cret" || len(s.steps) != 3 || s.steps[0].command != "one \\\n  more" || strings.Join(s.steps[0].output, "|") != "out|…" || s.steps[2].command != "^C" {
		t.Fatalf("session: %+v", s)
	}
}

// kinds are texts in a page that stand for any other of their kind.
var kinds = regexp.MustCompile(`[A-Z0-9]{8}…|…|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?|\b\d+(?:\.\d+)?(?:ms|µs|s|m)\b|kf_\w+|  +`)

// expected turns the lines of a page into a pattern; bound holds the UUIDs that the page has
// named so far, by the text of the page. The pattern's groups capture the new ones.
func expected(lines []string, bound map[string]string) (*regexp.Regexp, []string) {
	var pattern strings.Builder
	var captured []string
	pattern.WriteString(`\A`)
	for _, line := range lines {
		if line == "…" {
			pattern.WriteString(`(?:.*(?:\n|\z))*?`)
			continue
		}
		end := 0
		for _, at := range kinds.FindAllStringIndex(line, -1) {
			pattern.WriteString(regexp.QuoteMeta(line[end:at[0]]))
			word := line[at[0]:at[1]]
			switch {
			case len(word) > len("…") && strings.HasSuffix(word, "…"): // the beginning of a token
				pattern.WriteString(`[A-Z0-9]+`)
			case word == "…":
				pattern.WriteString(`.*?`)
			case strings.HasPrefix(word, " "):
				pattern.WriteString(` +`)
			case len(word) == 36 && bound[word] != "":
				pattern.WriteString(regexp.QuoteMeta(bound[word]))
			case len(word) == 36:
				captured = append(captured, word)
				pattern.WriteString(`([0-9a-f-]{36})`)
			case strings.HasPrefix(word, "kf_"):
				pattern.WriteString(`kf_\w+`)
			case len(word) > 12:
				pattern.WriteString(`\d{4}-\d\d-\d\d[T ][0-9:.]+(?:Z|[+-]\d\d:\d\d)?`)
			default:
				pattern.WriteString(`[0-9.]+(?:ms|µs|s|m)(?:[0-9.]+s)?`)
			}
			end = at[1]
		}
		pattern.WriteString(regexp.QuoteMeta(line[end:]) + ` *(?:\n|\z)`)
	}
	return regexp.MustCompile(pattern.String() + `\z`), captured
}

func TestExpectedOutput(t *testing.T) {
	t.Parallel()
	id, other := "01a203b9-2d21-71ba-be3f-281f250a48c7", "01a203b9-2d21-71ba-be3f-281f250a48c8"
	for _, c := range []struct {
		name, page, output string
		fits               bool
	}{
		{"same text", "credential erp", "credential erp", true},
		{"other text", "credential erp", "credential hr", false},
		{"more lines", "a", "a\nb", false},
		{"any text", "a … c", "a b c", true},
		{"any lines", "a\n…\nc", "a\nb\nb\nc", true},
		{"uuid", "run " + id + " ended", "run " + other + " ended", true},
		{"duration and columns", "succeeded 3ms   x", "succeeded 1.25s x", true},
		{"token", "#token=EQSIG7P5… to", "#token=ABCDEFGHIJKL to", true},
		{"time", "at 2026-01-01T10:00:00Z", "at 2027-02-02T11:11:11.5Z", true},
	} {
		pattern, _ := expected(strings.Split(c.page, "\n"), nil)
		if pattern.MatchString(c.output) != c.fits {
			t.Errorf("%s: %q fits %q: %t, want %t", c.name, c.page, c.output, !c.fits, c.fits)
		}
	}
}
