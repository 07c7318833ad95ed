// Command testsummary reads `go test -json` and shows a line per package, the output of
// what failed, and on stdout the number of tests that passed. A skipped test is a failure:
// tests that did not run prove nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

func main() {
	passed, bad := 0, 0
	output := map[string]*strings.Builder{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Fprintln(os.Stderr, in.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			output[key].WriteString(e.Output)
		case "pass", "fail", "skip", "build-fail":
			if e.Test == "" {
				fmt.Fprintf(os.Stderr, "%-4s %s %.1fs\n", e.Action, e.Package, e.Elapsed)
			}
			switch {
			case e.Action == "pass" && e.Test != "":
				passed++
			case e.Action != "pass" && (e.Test != "" || e.Action != "skip"):
				bad++
				if output[key] != nil {
					fmt.Fprintf(os.Stderr, "--- %s: %s\n%s", e.Action, key, output[key])
				}
			}
			delete(output, key)
		}
	}
	fmt.Println(passed)
	if bad > 0 {
		fmt.Fprintf(os.Stderr, "%d tests failed or were skipped\n", bad)
		os.Exit(1)
	}
}
