package credentials

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
)

const (
	renewTimeout = 30 * time.Second // one renewal with its writes; the token request has 20 s of it
	leaseLife    = time.Minute      // more than a renewal takes: nobody renews beside it
	leaseWait    = oauth.Timeout + time.Second
	leasePoll    = 25 * time.Millisecond // doubles up to eight times that
	coolDown     = time.Minute           // after a refusal by the token endpoint
	firstPause   = time.Second           // after a failure that may pass; doubles up to coolDown
	storeTries   = 5
	storePause   = 50 * time.Millisecond // doubles with each try
)

// renewals makes sure that any number of callers cause one token request (promise P7). Its
// zero value is ready.
type renewals struct {
	mu   sync.Mutex
	byID map[ID]*renewal
}

// renewal is what is known of the token of one credential.
type renewal struct {
	held    *held   // as last stored; nil: not read yet
	flight  *flight // a renewal under way
	failure failure
	unsaved *held // got from the provider, but the store could not be written
}

// flight is one renewal under way and, after done is closed, its result.
type flight struct {
	done chan struct{}
	held *held
	err  error
}

// failure says why the last renewal failed. Until a time it is the answer to further ones, so
// that a failing provider is not asked by every request.
type failure struct {
	err        error
	generation int64
	grant      int64
	until      time.Time
	pause      time.Duration
}

// hold keeps h unless a newer token is known. A new token ends the rest after a failure.
func (r *renewal) hold(h *held) {
	if r.held != nil && r.held.generation > h.generation {
		return
	}
	r.held = h
	if h.generation > r.failure.generation {
		r.failure = failure{}
	}
}

func (r *renewals) of(id ID) *renewal {
	if r.byID == nil {
		r.byID = make(map[ID]*renewal)
	}
	if r.byID[id] == nil {
		r.byID[id] = &renewal{}
	}
	return r.byID[id]
}

func (r *renewals) get(id ID) *held {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(id).held
}

// put remembers what the store holds; an older generation never replaces a newer one.
func (r *renewals) put(id ID, h *held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(id).hold(h)
}

// failing reports whether the last renewal by o's configuration failed.
func (r *renewals) failing(o *opened) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.of(o.ID).failure
	return f.err != nil && f.grant == o.grant
}

func (r *renewals) forget(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

// token returns a token that can be used now. It renews one that is about to end; when that
// fails, the present one is used as long as it lasts.
func (v *Vault) token(ctx context.Context, o *opened) (*held, error) {
	h := v.renewals.get(o.ID)
	if !h.fits(o) || o.State.Status == NeedsConnect || v.renewals.outdated(o) {
		var err error
		if h, _, err = v.readToken(ctx, o.ID); err != nil {
			return nil, err
		}
		v.renewals.put(o.ID, h)
	}
	now := v.now()
	if h.fits(o) && !h.Due(now, h.untilEnd) {
		return h, nil
	}
	next, err := v.renew(ctx, o, h.generation, planned)
	if err != nil && h.fits(o) && !h.Expired(now) && ctx.Err() == nil {
		return h, nil
	}
	return next, err
}

// cause is why a token is renewed.
type cause int

const (
	planned   cause = iota // it ends, or there is none
	byRule                 // an answer said that it was refused
	byRequest              // a person asked: no pause applies
)

// renew returns a token newer than generation used. Whoever comes while a renewal is under
// way shares it; whoever failed with a token that was replaced meanwhile gets the new one.
func (v *Vault) renew(ctx context.Context, o *opened, used int64, why cause) (*held, error) {
	for range 3 {
		h, f, err := v.join(ctx, o, used, why)
		if h != nil || err != nil {
			return h, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err != nil {
			return nil, f.err
		}
		if f.held.generation > used && f.held.fits(o) {
			return f.held, nil
		}
	}
	return nil, o.failed(egress.CodeNetwork, nil, "the credential %q changes faster than tokens can be got for it; try again", o.ID)
}

// join returns a token or an error that is known already, else the flight to wait for.
func (v *Vault) join(ctx context.Context, o *opened, used int64, why cause) (*held, *flight, error) {
	now := v.now()
	v.renewals.mu.Lock()
	defer v.renewals.mu.Unlock()
	r := v.renewals.of(o.ID)
	if r.held != nil && r.held.generation > used && r.held.fits(o) {
		return r.held, nil, nil
	}
	if r.flight != nil {
		return nil, r.flight, nil
	}
	if why == byRule && r.held.fits(o) && now.Before(r.held.restUntil) {
		return r.held, nil, nil
	}
	if f := r.failure; why != byRequest && f.err != nil && f.grant == o.grant && f.generation >= used && now.Before(f.until) {
		return nil, nil, f.err
	}
	r.flight = &flight{done: make(chan struct{})}
	go v.fly(context.WithoutCancel(ctx), o, used, r.flight)
	return nil, r.flight, nil
}

// fly renews for everyone who waits; it does not end with the caller who began it.
func (v *Vault) fly(ctx context.Context, o *opened, used int64, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, leaseWait+renewTimeout)
	defer cancel()
	f.held, f.err = v.obtain(ctx, o, used)
	v.renewals.mu.Lock()
	defer v.renewals.mu.Unlock()
	r := v.renewals.of(o.ID)
	r.flight = nil
	if f.err == nil {
		r.failure = failure{}
		r.hold(f.held)
	} else {
		r.failure = v.pauseAfter(o, used, r.failure, f.err)
	}
	close(f.done)
}

func (v *Vault) pauseAfter(o *opened, used int64, last failure, err error) failure {
	next := failure{err: err, generation: used, grant: o.grant}
	switch e, ok := errors.AsType[*oauth.Error](err); {
	case !ok: // the provider was not asked
	case e.Kind != oauth.Transient:
		next.pause = coolDown
	default:
		next.pause = firstPause
		if last.grant == o.grant && last.pause > 0 {
			next.pause = min(2*last.pause, coolDown)
		}
		next.pause = max(next.pause, min(e.RetryAfter, coolDown))
	}
	next.until = v.now().Add(next.pause)
	return next
}

// obtain makes one token request unless a newer token than used is stored already.
func (v *Vault) obtain(ctx context.Context, o *opened, used int64) (*held, error) {
	newer, err := v.lease(ctx, o, used)
	if newer != nil || err != nil {
		return newer, err
	}
	defer v.release(ctx, o.ID)
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	before, interrupted, err := v.readToken(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	if before.generation > used && before.fits(o) {
		return before, nil
	}
	if saved, err := v.saveLate(ctx, o, before); saved != nil || err != nil {
		return saved, err
	}
	full, err := v.resolved(ctx, o)
	if err != nil {
		return nil, err
	}
	next, err := v.ask(ctx, full, before)
	if err == nil {
		if o.State.Status == NeedsReconnect {
			v.report(ctx, o, OK, "")
		}
		return next, nil
	}
	// Someone else may have spent the refresh token first: the newer token is the current one then.
	if now, _, readErr := v.readToken(ctx, o.ID); readErr == nil && now.generation > before.generation && now.fits(o) {
		return now, nil
	}
	return nil, v.refusedToken(ctx, o, attempt{before.generation, interrupted, err})
}

// ask makes the token request and stores its answer.
func (v *Vault) ask(ctx context.Context, o *opened, before *held) (*held, error) {
	token, err := v.request(ctx, o, before)
	if err != nil {
		return nil, err
	}
	next := v.successor(o, before, token)
	return next, v.storeToken(ctx, o, before, next)
}

// lease gets the right to renew, among the processes that share the store. While another has
// it, its result is awaited; newer is what it stored. A process that died with the right keeps
// it for the rest of the minute: callers are told to come back.
func (v *Vault) lease(ctx context.Context, o *opened, used int64) (newer *held, err error) {
	if !v.store.Shared() {
		return nil, nil
	}
	begun := time.Now()
	for pause := leasePoll; ; pause = min(2*pause, 8*leasePoll) {
		left, err := v.tokens.Lease(ctx, o.ID, v.process, leaseLife, v.now())
		if err != nil {
			return nil, unknownOr(o.ID, err)
		}
		if left == 0 {
			return nil, nil
		}
		if time.Since(begun) > leaseWait {
			e := o.failed(egress.CodeNetwork, nil, "another process has been renewing the token of credential %q for long; it is tried again when its time is over", o.ID)
			e.Until = v.now().Add(left)
			return nil, e
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		h, _, err := v.readToken(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		if h.generation > used && h.fits(o) {
			return h, nil
		}
	}
}

func (v *Vault) release(ctx context.Context, id ID) {
	if !v.store.Shared() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := v.tokens.Release(ctx, id, v.process); err != nil {
		v.log.WarnContext(ctx, "renewal of a token not given up; it ends by itself", "credential", id, "error", err)
	}
}

// request asks the provider. That it was asked is stored first, so that a successor after a
// crash knows that a one-time refresh token may be spent.
func (v *Vault) request(ctx context.Context, o *opened, before *held) (oauth.Token, error) {
	if o.text("grant_type") == grantClientCredentials {
		return v.oauthClient().ClientCredentials(ctx, v.oauthConfig(o))
	}
	if !before.fits(o) {
		return oauth.Token{}, errNotConnected
	}
	if !before.Refresh.IsSet() {
		return oauth.Token{}, errNoRefreshToken
	}
	row, err := v.sealToken(o.ID, before, v.moment())
	if err != nil {
		return oauth.Token{}, err
	}
	noted, err := v.tokens.SwapToken(ctx, row, before.generation)
	if err != nil {
		return oauth.Token{}, fmt.Errorf("note renewal of credential %q: %w", o.ID, err)
	}
	if !noted {
		return oauth.Token{}, o.replaced()
	}
	return v.oauthClient().Refresh(ctx, v.oauthConfig(o), before.Refresh)
}

var (
	errNotConnected   = errors.New("not connected")
	errNoRefreshToken = errors.New("the provider gave no refresh token")
)

// storeToken stores next before anyone uses it. The provider may have spent the old refresh
// token, so a failing store is tried again, and at last the token is kept for the next renewal.
func (v *Vault) storeToken(ctx context.Context, o *opened, before, next *held) error {
	row, err := v.sealToken(o.ID, next, time.Time{})
	if err != nil {
		return err
	}
	stored := false
	for try := range storeTries {
		if stored, err = v.tokens.SwapToken(ctx, row, before.generation); err == nil {
			break
		}
		select {
		case <-time.After(storePause << try):
		case <-ctx.Done():
		}
	}
	if err != nil {
		v.renewals.mu.Lock()
		v.renewals.of(o.ID).unsaved = next
		v.renewals.mu.Unlock()
		return fmt.Errorf("store token of credential %q: %w", o.ID, err)
	}
	if !stored {
		return o.replaced()
	}
	return nil
}

func (o *opened) replaced() *Error {
	return o.failed(egress.CodeNetwork, nil, "the token of credential %q was replaced while it was renewed; try again", o.ID)
}

// saveLate stores a token that could not be stored when it was got.
func (v *Vault) saveLate(ctx context.Context, o *opened, before *held) (*held, error) {
	v.renewals.mu.Lock()
	late := v.renewals.of(o.ID).unsaved
	v.renewals.of(o.ID).unsaved = nil
	v.renewals.mu.Unlock()
	if !late.fits(o) || late.generation != before.generation+1 {
		return nil, nil
	}
	return late, v.storeToken(ctx, o, before, late)
}

// attempt is a renewal that failed: of which generation, and whether an earlier one of it was
// begun and its end is not known.
type attempt struct {
	generation  int64
	interrupted bool
	err         error
}

// refusedToken turns a failed token request into a state of the credential and a step error.
func (v *Vault) refusedToken(ctx context.Context, o *opened, a attempt) error {
	err := a.err
	e, fromProvider := errors.AsType[*oauth.Error](err)
	switch {
	case errors.Is(err, errNotConnected):
		v.reportToken(ctx, o, a.generation, NeedsConnect, "not connected yet")
		return o.failed(CodeNeedsConnect, err, "credential %q is not connected; open it in the admin page and press Connect", o.ID)
	case errors.Is(err, errNoRefreshToken):
		v.reportToken(ctx, o, a.generation, NeedsReconnect, "the token has ended and the provider gave no refresh token")
		return o.failed(CodeNeedsConnect, err, "the token of credential %q has ended and the provider gave no refresh token; "+
			"connect it again, and ask the provider for a refresh token (often the scope offline_access)", o.ID)
	case !fromProvider:
		return err
	case e.Kind == oauth.Transient:
		return o.failed(transientCode(e), err, "no token for credential %q: %s", o.ID, e.Message)
	case e.Kind == oauth.Grant && o.text("grant_type") == grantAuthorizationCode:
		message := e.Message
		if a.interrupted {
			message += "; an earlier renewal was sent and its answer lost, which spends the refresh token at some providers"
		}
		v.reportToken(ctx, o, a.generation, NeedsReconnect, message)
		return o.failed(CodeNeedsConnect, err, "credential %q must be connected again: %s", o.ID, message)
	default:
		v.reportToken(ctx, o, a.generation, Refused, e.Message)
		return o.failed(CodeRefused, err, "no token for credential %q: %s", o.ID, e.Message)
	}
}

func transientCode(e *oauth.Error) string {
	if sent, ok := egress.AsError(e); ok {
		return sent.Code
	}
	return egress.CodeNetwork
}

// report stores a state; that it cannot be stored does not change the outcome of a request.
func (v *Vault) report(ctx context.Context, o *opened, s Status, message string) {
	if err := v.setState(context.WithoutCancel(ctx), o.ID, o, s, message); err != nil {
		v.log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", s, "error", err)
	}
}

// reportToken is report for what a renewal of a generation found: it counts while that is the
// current one.
func (v *Vault) reportToken(ctx context.Context, o *opened, generation int64, s Status, message string) {
	if o.State.Status == s && o.State.Message == message {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := v.storeState(o, State{Status: s, Message: message, Since: v.moment()}, func(state State) (bool, error) {
		return v.tokens.FailToken(ctx, o.ID, generation, o.Revision, state)
	})
	if err != nil {
		v.log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", s, "error", err)
	}
}

// reportState is report for a state that holds until a time.
func (v *Vault) reportState(ctx context.Context, o *opened, state State) {
	ctx = context.WithoutCancel(ctx)
	err := v.storeState(o, state, func(state State) (bool, error) { return v.store.SetState(ctx, o.ID, o.Revision, state) })
	if err != nil {
		v.log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", state.Status, "error", err)
	}
}

// failed makes the error of a use of o.
func (o *opened) failed(code string, cause error, format string, args ...any) *Error {
	return &Error{Code: code, ID: o.ID, Message: fmt.Sprintf(format, args...), Err: cause}
}
