package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/internal/egress"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/outbox"
	"keyflow/nodes"
)

// Reasons for which a run's steps are interrupted.
var (
	errCanceled = errors.New("the run was canceled")
	errTimedOut = errors.New("the run took longer than its timeout")
	errLeaving  = errors.New("the process is stopping")
	errLost     = errors.New("the run belongs to another process")
)

// stepRun is one attempt of one step, and what the engine lends to its node.
type stepRun struct {
	runner  *runner
	plan    *plan.Node
	key     stepKey
	name    string // node/index, node alone without for_each
	attempt int    // from 1
	readyAt time.Time
	holdEnd time.Time // see liveStep
	brought *brought  // nil: nothing was brought to the step
	reading values.Reading
	rested  bool // large payloads were let go of: variables reads again
	item    any  // of a for_each
	itemKey any
	sealed  map[int]any // sealed outputs that a parameter reads, by node: []byte, or a list of them
	fresh   bool        // `if` and for_each have not been evaluated
	// readyToTry is when the attempt could have begun: it may have had to wait.
	readyToTry time.Time
	reserved   runs.ID // the run that the step starts and for which the queue keeps a place

	ctx        context.Context // of the attempt, set before the node runs
	clock      *attemptClock   // of its timeout; nil without
	credential credentials.ID
	revealed   []string // redacted texts that the step sends

	mu    sync.Mutex // a node may send requests concurrently
	calls []credentials.Call
}

var _ nodes.Env = (*stepRun)(nil)

// outcome is how an attempt ended.
type outcome struct {
	kind     state.EventKind // succeeded, failed, postponed, unwanted, expanded or cut
	dropped  bool            // the process is stopping: nothing is recorded, the attempt runs again
	output   json.RawMessage
	sealed   []byte // of a sensitive node, or the marks of redacted values
	value    any
	err      *nodes.Error
	wait     time.Duration    // of postponed
	idle     bool             // of postponed: the attempt did nothing and does not count
	hold     credentials.ID   // of postponed: the credential that must be connected
	forever  bool             // of postponed: without an end
	awaits   string           // of postponed: what can end the wait, a nodes.CodeWaitsFor…
	start    *runs.NewRun     // the run that the step starts
	answer   *runs.Answer     // what the step says to the caller of the webhook
	event    *outbox.Event    // that the step publishes
	elements *values.Elements // of expanded
	attempt  *runs.Attempt    // nil when the node did not get to run
}

// run evaluates what comes before the first attempt, then makes one attempt.
func (s *stepRun) run(ctx context.Context) outcome {
	if s.fresh && s.plan.Condition != nil {
		if out, stop := s.checkCondition(ctx); stop {
			return out
		}
	}
	if s.plan.ForEach != nil && s.key.index == runs.NoIndex {
		return s.expand(ctx)
	}
	started := s.runner.engine.now()
	out, err := s.try(ctx, started)
	if err != nil {
		out = s.failure(ctx, s.hideAnswer(err))
	}
	if out.idle {
		return out
	}
	finished := s.runner.engine.now()
	out.attempt = &runs.Attempt{Attempt: s.attempt, StartedAt: started, FinishedAt: &finished, Request: s.lastRequest()}
	if out.err != nil {
		out.attempt.Error = stepError(out.err, s.attempt)
	}
	return out
}

func (s *stepRun) checkCondition(ctx context.Context) (outcome, bool) {
	v, err := s.plan.Condition.Eval(ctx, s.env("if"))
	if err != nil {
		return notStarted(ctx, values.ExpressionError(ctx, "if", err)), true
	}
	wanted, ok := v.(bool)
	if !ok {
		return outcome{kind: state.Failed, err: &nodes.Error{Code: nodes.CodeExpression, Message: "if gave " + plan.TypeName(v) + ", not a boolean"}}, true
	}
	return outcome{kind: state.Unwanted}, !wanted
}

func (s *stepRun) expand(ctx context.Context) outcome {
	v, err := s.plan.ForEach.Eval(ctx, s.env("for_each"))
	if err != nil {
		return notStarted(ctx, values.ExpressionError(ctx, "for_each", err))
	}
	list, wrong := values.NewElements(v)
	if wrong != nil {
		return outcome{kind: state.Failed, err: wrong}
	}
	return outcome{kind: state.Expanded, elements: list}
}

// withoutURL drops the layer of http.Client, whose text holds the whole URL with its query.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// notStarted is the outcome of a step that failed before its first attempt: the same data
// would fail again, so it is not repeated.
func notStarted(ctx context.Context, err *nodes.Error) outcome {
	if out, stopped := interruption(ctx); stopped {
		return out
	}
	return outcome{kind: state.Failed, err: err}
}

// interruption is the outcome of a step whose run was interrupted; false when it was not.
func interruption(ctx context.Context) (outcome, bool) {
	switch cause := context.Cause(ctx); {
	case ctx.Err() == nil:
		return outcome{}, false
	case errors.Is(cause, errCanceled):
		return outcome{kind: state.Cut, err: &nodes.Error{Code: nodes.CodeCanceled, Message: errCanceled.Error()}}, true
	case errors.Is(cause, errTimedOut):
		return outcome{kind: state.Cut, err: &nodes.Error{Code: nodes.CodeTimeout, Message: errTimedOut.Error()}}, true
	default:
		return outcome{dropped: true}, true
	}
}

// failure decides what a failed attempt means: an interruption, another attempt, or the end.
func (s *stepRun) failure(ctx context.Context, err *nodes.Error) outcome {
	if out, stopped := interruption(ctx); stopped {
		return out
	}
	if !err.Until.IsZero() {
		return outcome{kind: state.Postponed, idle: true, err: err, wait: max(err.Until.Sub(s.runner.engine.now()), 0)}
	}
	if out, held := s.held(err); held {
		return out
	}
	if err.Err != nil {
		s.Log().Info("attempt failed", "attempt", s.attempt, "code", err.Code, "error", withoutURL(err.Err))
	}
	wait, again, wrong := s.again(ctx, err)
	switch {
	case wrong != nil:
		wrong.Message += " (the attempt failed with " + err.Code + ": " + err.Message + ")"
		return outcome{kind: state.Failed, err: wrong}
	case again:
		return outcome{kind: state.Postponed, err: retryError(err, wait), wait: wait}
	default:
		return outcome{kind: state.Failed, err: err}
	}
}

// try runs the node once, unless what it waits for has been brought.
func (s *stepRun) try(ctx context.Context, started time.Time) (outcome, *nodes.Error) {
	if s.plan.Timeout > 0 {
		ctx, s.clock = withAttemptClock(egress.WithOwnTimeout(ctx), s.plan.Timeout)
		defer s.clock.end()
	}
	s.ctx = ctx
	if s.brought != nil && !s.brought.Late {
		return s.given(ctx)
	}
	if err := s.findCredential(ctx); err != nil {
		return outcome{}, err
	}
	with, wrong := values.Params(ctx, s.plan, s.paramEnv, s.use)
	if wrong != nil {
		return outcome{}, wrong
	}
	if s.plan.AtMostOnce {
		if err := s.runner.storeStart(ctx, s.key, s.attempt, started); err != nil {
			return outcome{}, values.ContextError(ctx)
		}
	}
	s.rest()
	result, err := s.call(ctx, nodes.Input{With: with, Now: started})
	if err != nil {
		return outcome{}, s.maskError(nodeError(ctx, err))
	}
	return s.result(ctx, result)
}

// result carries out what the node asks for.
func (s *stepRun) result(ctx context.Context, result nodes.Result) (outcome, *nodes.Error) {
	switch result := result.(type) {
	case nodes.Done:
		return s.done(ctx, result.Output)
	case nodes.Park:
		return s.parked(&result), nil
	case nodes.Respond:
		return s.respond(ctx, &result)
	case nodes.Start:
		n, err := s.start(ctx, &result)
		if err != nil {
			return outcome{}, err
		}
		if result.Wait {
			return s.started(n), nil
		}
		out, err := s.done(ctx, map[string]any{"run_id": n.Run.ID.String()})
		out.start = n
		return out, err
	case nodes.Emit:
		return s.emit(ctx, &result)
	default:
		return outcome{}, &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: fmt.Errorf("node gave %T", result)}
	}
}

// done is the outcome of a step with this raw output.
func (s *stepRun) done(ctx context.Context, v any) (outcome, *nodes.Error) {
	out := outcome{kind: state.Succeeded}
	err := s.output(ctx, v, &out)
	return out, err
}

// call runs the node; a panic of one node is that step's failure and nobody else's.
func (s *stepRun) call(ctx context.Context, in nodes.Input) (result nodes.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			text := fmt.Sprint(p)
			if s.plan.Sensitive || len(s.plan.Reads.Sealed) > 0 {
				text = jsonvalue.Mask
			}
			s.Log().Error("node panicked", "type", s.plan.Type.Name, "panic", text, "stack", string(debug.Stack()))
			err = &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Permanent: true}
		}
	}()
	return s.plan.Runner.Run(ctx, s, in)
}

// output applies the output template and the size limit, and seals what is sensitive.
func (s *stepRun) output(ctx context.Context, v any, out *outcome) *nodes.Error {
	v = s.maskOutput(v)
	if s.plan.Output != nil {
		var err error
		if v, err = s.plan.Output.Eval(ctx, s.env("output", plan.NameThis, v)); err != nil {
			return s.hideDetails(values.ExpressionError(ctx, "output", err), "output")
		}
	}
	var cookies []int
	if s.plan.Sensitive {
		v, cookies = values.CookiesIn(v)
	}
	raw, err := jsonvalue.Encode(v)
	if errors.Is(err, jsonvalue.ErrRedacted) {
		return s.redactOutput(v, out)
	}
	if err != nil {
		return &nodes.Error{Code: nodes.CodeExpression, Message: "output: the value cannot be written as JSON", Err: err}
	}
	if wrong := s.runner.engine.checkSize(raw); wrong != nil {
		return wrong
	}
	if s.plan.Sensitive {
		return s.seal(raw, cookies, out)
	}
	out.output, out.value = raw, v
	return nil
}

// findCredential evaluates the node's reference; the resolved id is what counts.
func (s *stepRun) findCredential(ctx context.Context) *nodes.Error {
	if s.plan.Credential == nil {
		return nil
	}
	v, literal := s.plan.Credential.Literal()
	if !literal {
		var err error
		if v, err = s.plan.Credential.Eval(ctx, s.env("credential")); err != nil {
			return values.ExpressionError(ctx, "credential", err)
		}
	}
	id, ok := v.(string)
	if !ok || id == "" {
		return &nodes.Error{Code: nodes.CodeInvalidParam, Message: "credential: must be the id of a credential, not " + plan.TypeName(v)}
	}
	s.credential = credentials.ID(id)
	return nil
}

func (s *stepRun) record(c credentials.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.URL = s.maskText(c.URL)
	s.calls = append(s.calls, c)
}

func (s *stepRun) lastRequest() *runs.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) == 0 {
		return nil
	}
	c := &s.calls[len(s.calls)-1]
	return &runs.Request{Method: c.Method, URL: c.URL, Status: c.Status, DurationMS: c.Duration.Milliseconds()}
}

// credentialCalls returns the calls that used a credential.
func (s *stepRun) credentialCalls() []credentials.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential == "" {
		return nil
	}
	return s.calls
}

// Eval implements nodes.Env.
func (s *stepRun) Eval(ctx context.Context, name string, vars map[string]any) (any, bool, error) {
	for i := range s.plan.Params {
		p := &s.plan.Params[i]
		if p.Decl.Name != name || p.Expression == nil {
			continue
		}
		extra := make([]any, 0, 2*len(vars))
		for k, v := range vars {
			extra = append(extra, k, v)
		}
		v, err := p.Expression.Eval(ctx, s.env("with/"+name, extra...))
		if err != nil {
			return nil, true, s.hideDetails(values.ExpressionError(ctx, "with."+name, err), "with."+name)
		}
		return v, true, nil
	}
	return nil, false, nil
}

// Has implements nodes.Env.
func (s *stepRun) Has(name string) bool {
	return slices.ContainsFunc(s.plan.Params, func(p plan.Param) bool { return p.Decl.Name == name && p.Expression != nil })
}

// DeliveryID implements nodes.Env.
func (s *stepRun) DeliveryID() string {
	return s.runner.run.ID.String() + "/" + string(s.plan.ID) + "/" + strconv.Itoa(max(s.key.index, 0))
}

// ReadyAt implements nodes.Env.
func (s *stepRun) ReadyAt() time.Time { return s.readyAt }

// Attempt implements nodes.Env.
func (s *stepRun) Attempt() int { return s.attempt }

// Log implements nodes.Env.
func (s *stepRun) Log() *slog.Logger {
	return s.runner.engine.o.Logger.With("run", s.runner.run.ID.String(), "workflow", string(s.runner.run.Workflow), "node", s.name)
}

// nodeError classifies what a node returned. Texts of unknown errors are not shown.
func nodeError(ctx context.Context, err error) *nodes.Error {
	if e, ok := errors.AsType[*nodes.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return credentialError(e)
	}
	if e, ok := egress.AsError(err); ok {
		return &nodes.Error{Code: e.Code, Message: e.Error(), Err: err}
	}
	if ctx.Err() != nil {
		return values.ContextError(ctx)
	}
	return &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: err}
}

// credentialError is a failure of the vault. The answer that refused the credential is
// kept; a token endpoint that does not answer is worth another attempt, as any network is.
func credentialError(e *credentials.Error) *nodes.Error {
	out := &nodes.Error{Code: e.Code, Message: e.Message, Until: e.Until, Err: e}
	if e.Hold {
		out.Hold = string(e.ID)
	}
	if e.Answer != nil {
		out.Response, out.Status = e.Answer.Data(), e.Answer.Status
	}
	return out
}

// maxErrorResponse bounds the answer that a stored error keeps.
const maxErrorResponse = 64 << 10

// stepError is a failure as it is stored. An answer too large to keep loses its body.
func stepError(err *nodes.Error, attempt int) *runs.StepError {
	out := &runs.StepError{Code: err.Code, Message: values.ShortMessage(err.Message), Attempt: attempt}
	if err.Response == nil {
		return out
	}
	raw, encodeErr := jsonvalue.EncodeShown(err.Response)
	if response, ok := err.Response.(map[string]any); ok && len(raw) > maxErrorResponse {
		raw, encodeErr = jsonvalue.EncodeShown(map[string]any{"status": response["status"], "headers": response["headers"], "body": nil})
	}
	if encodeErr == nil && len(raw) <= maxErrorResponse {
		out.Response = raw
	}
	return out
}
