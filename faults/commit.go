//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"time"
)

// Messages of the Postgres protocol, version 3.
const (
	queryMessage    = 'Q'
	parseMessage    = 'P'
	bindMessage     = 'B'
	executeMessage  = 'E'
	completeMessage = 'C' // from the server: the tag of a statement
	readyMessage    = 'Z' // from the server
)

// syncMessage asks the server for the end of an exchange.
const syncMessage = "S\x00\x00\x00\x04"

// lengthBytes count themselves, and not the type before them.
const lengthBytes = 4

// readMessage reads one message, with its type and length; the first of a client has no type.
func readMessage(r *bufio.Reader, typed bool) ([]byte, error) {
	start := 0
	if typed {
		start = 1
	}
	head, err := r.Peek(start + lengthBytes)
	if err != nil {
		return nil, err
	}
	message := make([]byte, start+int(binary.BigEndian.Uint32(head[start:])))
	_, err = io.ReadFull(r, message)
	return message, err
}

// commits finds the COMMITs in what a client says. The text of a prepared one passes once per
// connection and is carried out by name from then on.
type commits struct {
	statements, portals map[string]bool // by name: whether it is a COMMIT
}

// sends reports whether the message has a COMMIT carried out, and whether it was prepared.
func (c *commits) sends(message []byte) (prepared, ok bool) {
	first, rest, _ := bytes.Cut(message[1+lengthBytes:], []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	switch message[0] {
	case queryMessage:
		return false, isCommit(first)
	case parseMessage:
		c.statements[string(first)] = isCommit(second)
	case bindMessage:
		c.portals[string(first)] = c.statements[string(second)]
	case executeMessage:
		ok = c.portals[string(first)]
	}
	return ok, ok
}

func isCommit(text []byte) bool {
	return strings.EqualFold(strings.TrimRight(string(text), "; "), "commit")
}

// forward copies what Keyflow says, and breaks COMMITs.
func (s *session) forward() {
	defer func() {
		s.close()
		if b := s.broken.Load(); b != nil {
			<-s.ended
			close(b.over)
		}
	}()
	r, w := bufio.NewReaderSize(s.in, 64<<10), bufio.NewWriterSize(s.out, 64<<10)
	c := commits{map[string]bool{}, map[string]bool{}}
	for typed := false; ; typed = true {
		message, err := readMessage(r, typed)
		if err != nil {
			return
		}
		if typed && s.breaks(&c, message) && s.broken.Load().late > 0 {
			s.outlive(w, message)
			return
		}
		_, _ = w.Write(message) // Flush says what was wrong
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

// breaks reports whether the message has a COMMIT carried out that is to be broken.
func (s *session) breaks(c *commits, message []byte) bool {
	prepared, ok := c.sends(message)
	if !ok {
		return false
	}
	b := s.proxy.armed.Swap(nil)
	if b == nil {
		return false
	}
	b.began, b.prepared = time.Now(), prepared
	s.broken.Store(b)
	return true
}

// outlive cuts the client off and has its COMMIT carried out later on.
func (s *session) outlive(w *bufio.Writer, message []byte) {
	_ = s.in.Close()
	if w.Flush() != nil {
		return
	}
	select {
	case <-time.After(s.broken.Load().late):
	case <-s.ended:
		return
	}
	_, _ = w.Write(message)
	_, _ = w.WriteString(syncMessage)
	if w.Flush() == nil {
		<-s.ended
	}
}

// backward copies what Postgres says, up to the COMMIT that is broken; it waits for the end of
// that one.
func (s *session) backward() {
	defer close(s.ended)
	defer s.close()
	r, w := bufio.NewReaderSize(s.out, 64<<10), bufio.NewWriterSize(s.in, 64<<10)
	for {
		message, err := readMessage(r, true)
		if err != nil {
			return
		}
		if b := s.broken.Load(); b != nil {
			switch message[0] {
			case completeMessage:
				b.committed = b.committed || bytes.HasSuffix(message, []byte("COMMIT\x00"))
			case readyMessage:
				return
			}
			continue
		}
		_, _ = w.Write(message) // Flush says what was wrong
		if r.Buffered() == 0 && w.Flush() != nil && s.broken.Load() == nil {
			return
		}
	}
}
