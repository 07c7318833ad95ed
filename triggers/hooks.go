package triggers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/internal/expression"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/workflows"
)

const (
	// HooksPrefix is where Hooks expects to be mounted.
	HooksPrefix = "/hooks/"
	// DepthHeader carries how many workflow starts led to a request of ours.
	DepthHeader = "Keyflow-Depth"
	// DuplicateHeader marks the answer to a delivery that has started a run before.
	DuplicateHeader = "Keyflow-Duplicate"

	maxBody = 5 << 20 // bytes of a request body
)

// Hooks returns the handler of /hooks/ and everything below it. It must see paths as they
// are in the request line: a mux that cleans them would answer for other spellings.
func (m *Manager) Hooks() http.Handler { return http.HandlerFunc(m.serveHook) }

// serveHook answers one inbound call. What a caller may learn: an unknown path and one of a
// switched-off workflow look the same; a refusal gives no hint.
func (m *Manager) serveHook(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	maps.Copy(h, m.headers)
	rt, params := m.find(r)
	if rt == nil && !m.loaded.Load() {
		h.Set("Retry-After", "2")
		refuse(w, http.StatusServiceUnavailable, "the call was not accepted: starting")
		return
	}
	if rt == nil {
		refuse(w, http.StatusNotFound, "there is no webhook at this address")
		return
	}
	if !slices.Contains(rt.methods, r.Method) {
		h.Set("Allow", strings.Join(rt.methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, "this webhook takes "+strings.Join(rt.methods, ", "))
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	verified, ok := m.verify(w, r, rt, body)
	if !ok {
		return
	}
	taken := false
	defer func() {
		if !taken && rt.credential != "" {
			m.verifier.Unverify(context.WithoutCancel(r.Context()), credentials.ID(rt.credential), r, body)
		}
	}()
	c := &call{route: rt, params: params, fired: m.now().UTC(), body: body, verified: verified}
	started, ok := m.start(w, r, c)
	if !ok {
		return
	}
	taken = true
	if started.Duplicate {
		h.Set(DuplicateHeader, "true")
	}
	if rt.onFinish {
		m.answerFinish(w, r, rt, started)
		return
	}
	accepted(w, started.Run)
}

// start reads the request and stores a run.
func (m *Manager) start(w http.ResponseWriter, r *http.Request, c *call) (engine.Started, bool) {
	leave, ok := m.gate.enter(r.Context(), len(c.body))
	if !ok {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "the call was not accepted: too many large bodies at once")
		return engine.Started{}, false
	}
	defer leave()
	if err := c.read(r); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not valid JSON")
		return engine.Started{}, false
	}
	start, ok := m.prepare(w, r, c)
	if !ok {
		return engine.Started{}, false
	}
	started, err := m.starter.Start(r.Context(), start)
	if err != nil {
		m.refuseStart(w, r, c.route, err)
	}
	return started, err == nil
}

// find returns the current route of a request. When other processes may have changed the
// workflow, its row (cached for a moment by the catalog) is looked at first.
func (m *Manager) find(r *http.Request) (*route, map[string]any) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), HooksPrefix)
	if !ok {
		return nil, nil
	}
	rt, params := m.routes.find(path)
	if rt == nil || !m.shared {
		return rt, params
	}
	s, err := m.catalog.Summary(r.Context(), rt.workflow)
	if err == nil && s.Version == rt.version && s.Enabled {
		return rt, params
	}
	if err := m.WorkflowChanged(r.Context(), rt.workflow); err != nil {
		m.logger.Error("webhook route is not fresh", reference(rt.workflow, rt.trigger), "error", err)
	}
	return m.routes.find(path)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		refuse(w, http.StatusUnsupportedMediaType, "send the body without Content-Encoding")
		return nil, false
	}
	if r.ContentLength == 0 {
		return nil, true
	}
	// What a stranger announces is not what arrives: room for more comes with the bytes.
	body := make([]byte, 0, min(max(r.ContentLength, 512), smallBody)+bytes.MinRead)
	read := bytes.NewBuffer(body)
	_, err := read.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body could not be read")
		return nil, false
	case read.Len() > maxBody:
		// A caller that is cut off while it sends does not see why.
		_, _ = io.CopyN(io.Discard, r.Body, maxBody)
		refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than 5 MiB")
		return nil, false
	default:
		return read.Bytes(), true
	}
}

// verify lets a request pass that presents the route's credential. Whatever is wrong, the
// answer is the same; only a vault that cannot answer now is told apart.
func (m *Manager) verify(w http.ResponseWriter, r *http.Request, rt *route, body []byte) (verified []string, ok bool) {
	if rt.credential == "" {
		return nil, true
	}
	source := m.clientIP(r) + " " + string(rt.workflow) + "/" + rt.trigger
	if m.throttled(w, source) {
		return nil, false
	}
	verified, err := m.verifier.Verify(r.Context(), credentials.ID(rt.credential), string(rt.workflow), rt.folder, r, body)
	switch {
	case err == nil:
		return verified, !m.throttled(w, source) // the right guess among many at once is none
	case fault.Is(err, fault.Unavailable):
		m.unavailable(w, rt, err)
	default:
		if !fault.Is(err, fault.Unauthenticated) { // the author's mistake, not the caller's
			m.logger.Error("webhook cannot verify its callers", reference(rt.workflow, rt.trigger), "error", err)
		}
		m.failures.fail(source)
		refuse(w, http.StatusUnauthorized, "the request is not authenticated")
	}
	return nil, false
}

// throttled answers a source that was refused too often.
func (m *Manager) throttled(w http.ResponseWriter, source string) bool {
	wait := m.failures.wait(source)
	if wait > 0 {
		w.Header().Set("Retry-After", seconds(wait))
		refuse(w, http.StatusTooManyRequests, "too many refused calls; try again later")
	}
	return wait > 0
}

// prepare evaluates the route's templates over the request.
func (m *Manager) prepare(w http.ResponseWriter, r *http.Request, c *call) (engine.Start, bool) {
	start := engine.Start{Workflow: c.route.workflow, Trigger: c.trigger()}
	depth, _ := strconv.Atoi(r.Header.Get(DepthHeader))
	if start.Depth = max(depth, 0); start.Depth > engine.MaxDepth {
		refuse(w, http.StatusLoopDetected, "workflows start one another in a loop: "+strconv.Itoa(engine.MaxDepth)+" starts in a row")
		return start, false
	}
	input, err := c.input(r.Context())
	if err == nil {
		start.Input = input
		start.Dedupe, err = c.dedupe(r.Context())
	}
	if err != nil {
		m.logger.Warn("webhook template", reference(c.route.workflow, c.route.trigger), "error", err)
		refuse(w, http.StatusUnprocessableEntity, "the request does not fit what the webhook expects")
		return start, false
	}
	return start, true
}

// refuseStart answers when no run was stored.
func (m *Manager) refuseStart(w http.ResponseWriter, r *http.Request, rt *route, err error) {
	switch fault.KindOf(err) {
	case fault.Invalid:
		writeProblem(w, problem{Status: http.StatusUnprocessableEntity, Detail: fault.Message(err), Errors: fault.ProblemsOf(err)})
	case fault.Conflict:
		refuse(w, http.StatusConflict, fault.Message(err))
	case fault.TooLarge:
		refuse(w, http.StatusRequestEntityTooLarge, fault.Message(err))
	case fault.NotFound: // deleted in this moment
		refuse(w, http.StatusNotFound, "there is no webhook at this address")
	case fault.Unavailable:
		m.unavailable(w, rt, err)
	default:
		if r.Context().Err() != nil {
			return // nobody reads the answer
		}
		m.logger.Error("webhook start", reference(rt.workflow, rt.trigger), "error", err)
		refuse(w, http.StatusInternalServerError, "internal error")
	}
}

func (m *Manager) unavailable(w http.ResponseWriter, rt *route, err error) {
	m.logger.Warn("webhook not accepted", reference(rt.workflow, rt.trigger), "error", err)
	w.Header().Set("Retry-After", "2")
	refuse(w, http.StatusServiceUnavailable, "the call was not accepted: "+fault.Message(err))
}

// answerFinish waits for the run. Whatever happens now, the run is stored: a wait that ends
// early is answered as on_accept would be.
func (m *Manager) answerFinish(w http.ResponseWriter, r *http.Request, rt *route, started engine.Started) {
	ctx, cancel := context.WithTimeout(r.Context(), rt.timeout)
	defer cancel()
	run, err := m.starter.Wait(ctx, started.Run)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			m.logger.Error("webhook wait", reference(rt.workflow, rt.trigger), "run", started.Run, "error", err)
		}
		accepted(w, started.Run)
	case run.Status == engine.RunSucceeded:
		output := run.Output
		if output == nil {
			output = json.RawMessage("null")
		}
		writeJSON(w, http.StatusOK, "application/json", output)
	default:
		writeProblem(w, problem{Status: http.StatusBadGateway, Detail: "the run ended as " + string(run.Status), Run: started.Run.String()})
	}
}

// call is one verified request.
type call struct {
	route  *route
	params map[string]any
	fired  time.Time

	body     []byte
	verified []string // names of what holds the caller's secret

	request map[string]any // what expressions see as trigger.request
	raw     json.RawMessage
}

const hidden = "***"

// read makes trigger.request of the request, without what authenticates its caller.
func (c *call) read(r *http.Request) error {
	headers := make(map[string]any, len(r.Header)+1)
	headers["host"] = r.Host
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	query := make(map[string]any)
	if r.URL.RawQuery != "" {
		for name, values := range r.URL.Query() {
			query[name] = strings.Join(values, ", ")
		}
	}
	text := string(c.body)
	if _, password, basic := r.BasicAuth(); basic && len(c.verified) > 0 {
		text = hideSecret(text, password)
	}
	for _, name := range c.verified {
		for _, presented := range []any{query[name], headers[strings.ToLower(name)]} {
			secret, _ := presented.(string)
			if scheme, token, ok := strings.Cut(secret, " "); ok && len(scheme) < 10 {
				secret = token
			}
			text = hideSecret(text, secret)
		}
		if _, ok := query[name]; ok {
			query[name] = hidden
		}
	}
	for _, name := range append([]string{"authorization", "proxy-authorization", "cookie"}, c.verified...) {
		if name = strings.ToLower(name); headers[name] != nil {
			headers[name] = hidden
		}
	}
	parsed, err := parseBody(r.Header.Get("Content-Type"), text)
	if err != nil {
		return err
	}
	params := c.params
	if params == nil {
		params = map[string]any{}
	}
	c.request = map[string]any{
		"method": r.Method, "path": r.URL.Path, "params": params, "query": query, "headers": headers,
		"body": parsed, "raw_body": strings.ToValidUTF8(text, "�"),
	}
	c.raw, err = jsonvalue.Encode(c.request)
	return err
}

// hideSecret takes a presented secret out of a body that repeats it. A very short one is
// left: replacing it would garble the body and hide nothing that cannot be guessed.
func hideSecret(text, secret string) string {
	if len(secret) < 6 {
		return text
	}
	return strings.ReplaceAll(text, secret, hidden)
}

// parseBody parses by content type. Without one, JSON is tried and text is the rest.
func parseBody(contentType, text string) (any, error) {
	media, _, _ := mime.ParseMediaType(contentType)
	switch {
	case text == "":
		return nil, nil
	case media == "application/json", strings.HasSuffix(media, "+json"):
		if !utf8.ValidString(text) { // encoding/json would replace what is wrong
			return nil, errors.New("not UTF-8")
		}
		return jsonvalue.Decode([]byte(text))
	case media == "application/x-www-form-urlencoded":
		return parseForm(text), nil
	case media == "":
		if v, err := jsonvalue.Decode([]byte(text)); err == nil {
			return v, nil
		}
		return strings.ToValidUTF8(text, "�"), nil
	case strings.HasPrefix(media, "text/"):
		return strings.ToValidUTF8(text, "�"), nil
	default:
		return nil, nil
	}
}

// env is what the route's templates read.
func (c *call) env() expression.Env {
	return expression.Env{Vars: map[string]any{"vars": c.route.vars, "trigger": map[string]any{
		"id": c.route.trigger, "type": workflows.TriggerWebhook, "fired_at": c.fired.Format(time.RFC3339Nano), "request": c.request,
	}}}
}

func (c *call) trigger() engine.TriggerRef {
	return engine.TriggerRef{ID: c.route.trigger, Type: workflows.TriggerWebhook, FiredAt: c.fired, Request: c.raw}
}

// input is the trigger's input; without one the parsed body.
func (c *call) input(ctx context.Context) (json.RawMessage, error) {
	value := c.request["body"]
	if c.route.input != nil {
		var err error
		if value, err = c.route.input.Eval(ctx, c.env()); err != nil {
			return nil, err
		}
	}
	return jsonvalue.Encode(value)
}

// dedupe is the key of the delivery; nil when the trigger has none or it is empty.
func (c *call) dedupe(ctx context.Context) (*engine.DedupeKey, error) {
	if c.route.dedupe == nil {
		return nil, nil
	}
	value, err := c.route.dedupe.Eval(ctx, c.env())
	if err != nil || value == nil || value == "" {
		return nil, err
	}
	key, ok := value.(string)
	if !ok {
		text, err := jsonvalue.Encode(value)
		if err != nil {
			return nil, err
		}
		key = string(text)
	}
	return &engine.DedupeKey{Kind: workflows.TriggerWebhook, Trigger: c.route.trigger, Key: key, ExpiresAt: c.fired.Add(dedupeFor)}, nil
}
