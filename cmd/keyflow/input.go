package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const maxInputSize = 16 << 20

// readArgument is the value of a flag that takes text, @file, or - for stdin.
func readArgument(p process, value string) ([]byte, error) {
	switch {
	case value == "-":
		return readAll(p.stdin)
	case strings.HasPrefix(value, "@"):
		return readFile(p, value[1:])
	default:
		return []byte(value), nil
	}
}

// readFile reads a file, or stdin for "-".
func readFile(p process, name string) ([]byte, error) {
	if name == "-" {
		return readAll(p.stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usagef("%w", err)
	}
	defer func() { _ = f.Close() }()
	return readAll(f)
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInputSize+1))
	if err != nil {
		return nil, usagef("%w", err)
	}
	if len(data) > maxInputSize {
		return nil, usagef("input is larger than %d MiB", maxInputSize>>20)
	}
	return data, nil
}

// terminal is the descriptor of stdin, if that is a terminal.
func terminal(p process) (int, bool) {
	f, ok := p.stdin.(*os.File)
	if !ok {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}

// confirm asks before what cannot be undone; without a terminal it needs --yes.
func confirm(p process, yes bool, question string) error {
	if yes {
		return nil
	}
	if _, ok := terminal(p); !ok {
		return usagef("%s Repeat with --yes to confirm", question)
	}
	_, _ = fmt.Fprintf(p.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(p.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return usagef("%w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return &exitError{exitFailed, errors.New("nothing was changed")}
	}
	return nil
}
