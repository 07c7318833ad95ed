package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// errRepeated is the cause of an exchange that ended because net/http was about to repeat it.
var errRepeated = errors.New("the request would have been sent again")

// once keeps one exchange from being sent twice. net/http repeats requests that it takes for
// idempotent when a kept connection breaks, and HTTP/2 requests that the server refused. once
// follows the exchange through httptrace: a request that was written gets no second connection.
//
// Both protocols call gotConn synchronously, before they write. HTTP/1 writes without asking the
// context again, so its connection is closed; HTTP/2 looks at the context under its write lock.
type once struct {
	cancel  context.CancelCauseFunc
	written atomic.Bool // headers of the request were written
	reused  bool        // the latest connection was used before

	silence time.Duration // allowed between the request and its answer; 0 is any
	mu      sync.Mutex
	timer   *time.Timer // of silence
	done    bool        // the exchange has an answer or an error
}

// watch returns a context in which a request is written at most once.
func (o *once) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      o.gotConn,
		WroteHeaders: func() { o.written.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { o.awaitAnswer() },
	})
}

// awaitAnswer limits the time until answered is called. A request may be written in full only
// after its answer has come.
func (o *once) awaitAnswer() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silence > 0 && !o.done && o.timer == nil {
		o.timer = time.AfterFunc(o.silence, func() { o.cancel(errSilent) })
	}
}

func (o *once) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = true
	if o.timer != nil {
		o.timer.Stop()
	}
}

func (o *once) gotConn(info httptrace.GotConnInfo) {
	o.reused = info.Reused
	if !o.written.Load() {
		return
	}
	o.cancel(errRepeated)
	if c, ok := info.Conn.(*tls.Conn); ok && c.ConnectionState().NegotiatedProtocol == "h2" {
		return // other requests share it
	}
	_ = info.Conn.Close() // nothing was written on it for this request
}

// neverLeft reports whether a failed exchange met a kept connection that was closed before
// anything was written: the only failure after which the request may take another connection.
func (o *once) neverLeft(ctx context.Context) bool {
	return o.reused && !o.written.Load() && ctx.Err() == nil
}

// rewound returns req with an unread body, if it has one or can get one.
func rewound(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	again := *req
	again.Body = body
	return &again, true
}
