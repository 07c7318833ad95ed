package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// Codes of an Error: a subset of the step error codes.
const (
	CodeNetwork        = "network"
	CodeTimeout        = "timeout"
	CodeHostNotAllowed = "host_not_allowed"
	CodeTooLarge       = "too_large"
	CodeInvalidParam   = "invalid_param"
)

// Error is a failed exchange. Error() is safe to store and show: it names the phase, the
// host and what happened, never a path, a query, a header or a body.
type Error struct {
	Phase   string // url, dns, connect, tls, write, headers, body, limit, redirect, refused
	Host    string
	Code    string
	Message string
	Timeout bool
	Err     error // cause, for errors.Is; not for display
}

// Error implements error.
func (e *Error) Error() string {
	if e.Host == "" {
		return e.Message
	}
	return e.Host + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError finds an *Error in err's chain, also below the *url.Error of http.Client.
func AsError(err error) (*Error, bool) { return errors.AsType[*Error](err) }

var (
	errRefused = errors.New("address refused")
	errSilent  = fmt.Errorf("silent: %w", os.ErrDeadlineExceeded)
)

// refusedMessage is the same for every refused target, so that it tells nothing about it.
const refusedMessage = "not a public address, and not allowed by --egress-allow (KEYFLOW_EGRESS_ALLOW); " +
	"an operator can add the host, host:port, its CIDR, or \"private\""

// classify names the phase in which an exchange without an answer failed.
func classify(err error, req *http.Request) *Error {
	e := &Error{Host: req.URL.Host, Code: CodeNetwork, Err: err}
	if errors.Is(err, errRefused) {
		e.Phase, e.Code, e.Message = "refused", CodeHostNotAllowed, refusedMessage
		return e
	}
	if ctx := req.Context(); ctx.Err() != nil {
		return contextError(ctx, e)
	}
	e.Phase, e.Message = phaseOf(err)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		e.Code, e.Timeout = CodeTimeout, true
		e.Message = "timed out (" + e.Phase + ")"
	}
	return e
}

func contextError(ctx context.Context, e *Error) *Error {
	e.Phase, e.Err = "headers", context.Cause(ctx)
	if limit, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err); ok && limit.Timeout() {
		e.Code, e.Timeout, e.Message = CodeTimeout, true, "no complete answer within the time limit"
	} else {
		e.Message = "canceled"
	}
	return e
}

func phaseOf(err error) (phase, message string) {
	if p, ok := errors.AsType[*proxyError](err); ok {
		return "connect", p.message
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "dns", "no such host"
		}
		return "dns", "the name cannot be resolved now"
	}
	if message, ok := tlsMessage(err); ok {
		return "tls", message
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch op.Op {
		case "dial":
			return "connect", "cannot connect: " + plainCause(op)
		case "write":
			return "write", "the connection broke while sending"
		}
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "TLS handshake timeout"):
		return "tls", "TLS handshake timed out"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "tls", "answered in plain HTTP on an https URL"
	case strings.Contains(text, "response headers exceeded"), strings.Contains(text, "header list size"):
		return "limit", "sent more than 1 MiB of headers"
	}
	return "headers", "the connection broke before an answer"
}

// plainCause returns the system's word ("connection refused") and no address.
func plainCause(op *net.OpError) string {
	if sys, ok := errors.AsType[*os.SyscallError](op.Err); ok {
		return sys.Err.Error()
	}
	return "no connection"
}

func tlsMessage(err error) (string, bool) {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host name", true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is signed by an unknown authority", true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "the certificate has expired or is not yet valid", true
		}
		return "the certificate is not valid", true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate could not be verified", true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return "the TLS handshake was refused", true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "did not answer with TLS", true
	}
	return "", false
}

// classifyBody names why reading an answer's body ended early.
func classifyBody(err error, req *http.Request) *Error {
	if e, ok := AsError(err); ok {
		return e
	}
	e := &Error{Phase: "body", Host: req.URL.Host, Code: CodeNetwork, Err: err, Message: "the connection broke in the middle of the answer"}
	switch ctx := req.Context(); {
	case ctx.Err() != nil:
		e = contextError(ctx, e)
		e.Phase = "body"
	case errors.Is(err, errSilent), errors.Is(err, context.Canceled):
		e.Code, e.Timeout, e.Message = CodeTimeout, true, "sent no further byte of its answer in time"
	}
	return e
}
