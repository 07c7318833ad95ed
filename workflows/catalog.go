package workflows

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Catalog gives access to the stored workflows: it authorizes, checks, stores, notifies the
// listeners, and caches parsed definitions for the engine. It is safe for concurrent use.
type Catalog struct {
	store     Store
	checkers  []Checker
	listeners []Listener
	// credentials nil: no right is required
	credentials CredentialRights
	now         func() time.Time
	logger      *slog.Logger
	cache       *cache
}

// CatalogOptions are the optional parts of a catalog.
type CatalogOptions struct {
	Checkers  []Checker
	Listeners []Listener       // called in order, after the change is stored
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: slog.Default()

	// Credentials decides who may name a credential; nil allows everybody. It is asked with the
	// caller when a definition is applied. Runs check the right of the workflow itself.
	Credentials CredentialRights

	// Refresh is how long Summary and Definition use a current version that they have read.
	// Zero is for ever, when this catalog is the only writer of its store.
	Refresh time.Duration
}

// CredentialRights decides who may name a credential. An adapter of *credentials.Vault is one.
type CredentialRights interface {
	// RequireUse returns Forbidden when the credential is in a folder where the caller may not use
	// credentials. An unknown credential is allowed.
	RequireUse(ctx context.Context, caller identity.Caller, credential string) error
}

// Applied is the result of Apply.
type Applied struct {
	Summary
	Changed  bool // a new version was made
	Created  bool // the workflow is new
	Warnings []Problem
}

// NewCatalog returns a catalog over store. A catalog that only validates needs no store.
func NewCatalog(store Store, o CatalogOptions) *Catalog {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Catalog{
		store: store, checkers: o.Checkers, listeners: o.Listeners, credentials: o.Credentials,
		now: o.Now, logger: o.Logger, cache: newCache(o.Refresh, o.Now),
	}
}

// AddListener adds a listener that needs the catalog itself. It must be called before the catalog
// is shared.
func (c *Catalog) AddListener(l Listener) { c.listeners = append(c.listeners, l) }

// AddChecker adds a checker that needs the catalog itself. It must be called before the catalog is
// shared.
func (c *Catalog) AddChecker(k Checker) { c.checkers = append(c.checkers, k) }

// Validate reports all problems and warnings of a definition, in file order, and stores nothing.
// Apply accepts a definition without problems.
func (c *Catalog) Validate(ctx context.Context, source []byte) (problems, warnings []Problem) {
	_, problems, warnings = c.check(ctx, source)
	return problems, warnings
}

// check parses and runs every checker, even on a definition with structural problems, so that an
// author sees all problems at once.
func (c *Catalog) check(ctx context.Context, source []byte) (d *Definition, problems, warnings []Problem) {
	d, problems = Parse(source)
	if d == nil {
		return nil, problems, nil
	}
	structural := problems
	for _, k := range c.checkers {
		found, advice := k.Check(ctx, d)
		for _, p := range found {
			if !explained(p, structural) {
				problems = append(problems, d.place(p))
			}
		}
		for _, p := range advice {
			warnings = append(warnings, d.place(p))
		}
	}
	sortProblems(problems)
	sortProblems(warnings)
	return d, problems, warnings
}

// explained reports whether a checker's problem follows from a structural one: the same value is
// wrong, or a node reads one that is not its ancestor because a cycle was cut.
func explained(p Problem, structural []Problem) bool {
	return slices.ContainsFunc(structural, func(s Problem) bool {
		node, isNeed := strings.CutSuffix(path.Dir(s.Path), "/needs")
		return s.Path == p.Path || s.Code == codeCycle && isNeed && p.Code == codeNotAncestor && strings.HasPrefix(p.Path, node+"/")
	})
}

// Apply stores source as the workflow id: the first version, the next one, or none when
// the definition is unchanged. expect is the version the caller saw: -1 any, 0 none.
//
// Errors: Malformed when source is not JSON, Invalid with all problems, Forbidden when the
// caller may not edit the folder (of the stored definition too), Stale. A workflow that d starts is
// not looked up, so that Apply does not reveal whether it exists. At run it is started only
// where the caller may start workflows (Definition.StartScope), or below the folder of the run.
func (c *Catalog) Apply(ctx context.Context, caller identity.Caller, id ID, source []byte, expect int) (Applied, error) {
	d, problems, warnings := c.check(ctx, source)
	if d == nil {
		return Applied{}, malformed(problems)
	}
	if err := caller.Require(identity.EditWorkflows, d.Folder); err != nil {
		return Applied{}, err
	}
	created, err := c.requireStored(ctx, caller, id)
	if err != nil {
		return Applied{}, err
	}
	if err := c.requireCredentials(ctx, caller, d); err != nil {
		return Applied{}, err
	}
	if d.ID != id && d.ID != "" {
		problems = append(problems, d.Problemf("/id", "id_mismatch", "the id is %q here but %q in the address", d.ID, id))
		sortProblems(problems)
	}
	if len(problems) > 0 {
		return Applied{}, fault.Problems("the workflow has "+count(len(problems), "problem"), problems)
	}
	if caller.May(identity.Operate, caller.Folder) {
		d.StartScope = caller.Folder
	}
	s, changed, err := c.store.Put(ctx, d, d.Enabled, caller.Name, expect, c.now())
	if err != nil {
		return Applied{}, err
	}
	c.changed(ctx, id)
	return Applied{Summary: s, Changed: changed, Created: created, Warnings: warnings}, nil
}

// requireStored requires the right to edit the stored workflow, if there is one.
func (c *Catalog) requireStored(ctx context.Context, caller identity.Caller, id ID) (absent bool, err error) {
	s, err := c.store.Get(ctx, id)
	switch {
	case fault.Is(err, fault.NotFound):
		return true, nil
	case err != nil:
		return false, err
	default:
		return false, caller.Require(identity.EditWorkflows, s.Folder)
	}
}

// requireCredentials requires the right to use every credential that d names literally. Results
// of templates are checked at each call.
func (c *Catalog) requireCredentials(ctx context.Context, caller identity.Caller, d *Definition) error {
	if c.credentials == nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(d.Usages())) {
		if err := c.credentials.RequireUse(ctx, caller, id); err != nil {
			return err
		}
	}
	return nil
}

func malformed(problems []Problem) error {
	f := fault.Problems("the workflow is not valid JSON", problems)
	f.Kind = fault.Malformed
	if slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == codeTooLarge }) {
		f.Kind, f.Message = fault.TooLarge, "the workflow is too large"
	}
	return f
}

// Get returns a workflow with its current version.
func (c *Catalog) Get(ctx context.Context, caller identity.Caller, id ID) (Summary, Version, error) {
	s, err := c.require(ctx, caller, identity.View, id)
	if err != nil {
		return Summary{}, Version{}, err
	}
	v, err := c.store.Version(ctx, id, s.Version)
	return s, v, err
}

// List returns one page of the workflows the caller may see, ordered by id.
func (c *Catalog) List(ctx context.Context, caller identity.Caller, f Filter) ([]Summary, error) {
	if f.Folder == "" {
		f.Folder = caller.Folder
	}
	if err := caller.Require(identity.View, f.Folder); err != nil {
		return nil, err
	}
	return c.store.List(ctx, f)
}

// Versions returns all versions of a workflow, newest first.
func (c *Catalog) Versions(ctx context.Context, caller identity.Caller, id ID) ([]Version, error) {
	if _, err := c.require(ctx, caller, identity.View, id); err != nil {
		return nil, err
	}
	return c.store.Versions(ctx, id)
}

// Version returns one version of a workflow; number 0 is the current one.
func (c *Catalog) Version(ctx context.Context, caller identity.Caller, id ID, number int) (Version, error) {
	if _, err := c.require(ctx, caller, identity.View, id); err != nil {
		return Version{}, err
	}
	return c.store.Version(ctx, id, number)
}

// SetEnabled enables or disables the triggers of a workflow. It makes no version.
func (c *Catalog) SetEnabled(ctx context.Context, caller identity.Caller, id ID, enabled bool) (Summary, error) {
	if _, err := c.require(ctx, caller, identity.EditWorkflows, id); err != nil {
		return Summary{}, err
	}
	s, err := c.store.SetEnabled(ctx, id, enabled, caller.Name, c.now())
	if err != nil {
		return Summary{}, err
	}
	c.changed(ctx, id)
	return s, nil
}

// Delete removes a workflow. Its runs continue and its history stays readable.
func (c *Catalog) Delete(ctx context.Context, caller identity.Caller, id ID) error {
	if _, err := c.require(ctx, caller, identity.EditWorkflows, id); err != nil {
		return err
	}
	if err := c.store.Delete(ctx, id); err != nil {
		return err
	}
	c.changed(ctx, id)
	return nil
}

// require authorizes the caller on the workflow's folder. A workflow that the caller may not see
// is NotFound.
func (c *Catalog) require(ctx context.Context, caller identity.Caller, right identity.Right, id ID) (Summary, error) {
	s, err := c.store.Get(ctx, id)
	if err != nil {
		return Summary{}, err
	}
	if !caller.May(identity.View, s.Folder) {
		return Summary{}, fault.New(fault.NotFound, "no workflow %q", id)
	}
	return s, caller.Require(right, s.Folder)
}

// Summary returns a workflow's current row. It is for packages engine and triggers, which act for
// the workflow and not for a caller. NotFound for a deleted workflow.
func (c *Catalog) Summary(ctx context.Context, id ID) (Summary, error) {
	return c.cache.summary(id, func() (Summary, error) { return c.store.Get(ctx, id) })
}

// Current is Summary without the cache: it sees the changes of other processes.
func (c *Catalog) Current(ctx context.Context, id ID) (Summary, error) {
	c.cache.forget(id)
	return c.Summary(ctx, id)
}

// Changes returns at most limit workflows that changed since revision after, oldest change first.
// It is for package triggers, which follows the changes of other processes.
func (c *Catalog) Changes(ctx context.Context, after int64, limit int) ([]Change, error) {
	changes, err := c.store.Changes(ctx, after, limit)
	for _, change := range changes {
		c.cache.forget(change.ID)
	}
	return changes, err
}

// Definition returns a parsed version for the engine; number 0 is the current one.
// The definition is shared and must not be changed.
func (c *Catalog) Definition(ctx context.Context, id ID, number int) (*Definition, error) {
	if number == 0 {
		s, err := c.Summary(ctx, id)
		if err != nil {
			return nil, err
		}
		number = s.Version
	}
	return c.cache.definition(id, number, func() (*Definition, error) {
		v, err := c.store.Version(ctx, id, number)
		if err != nil {
			return nil, err
		}
		return reparse(v)
	})
}

// reparse reads a stored definition, which was valid for the release that stored it.
func reparse(v Version) (*Definition, error) {
	d, problems := Parse(v.Definition.Source)
	if d == nil || len(problems) > 0 {
		f := fault.Problems("the stored definition is not valid in this release", problems)
		f.Message = string(v.Workflow) + ": " + f.Message
		return nil, f
	}
	d.StartScope = v.Definition.StartScope
	d.Positions = nil // only authors need them, and thousands of definitions stay in memory
	return d, nil
}

// Usages returns the nodes and triggers of current definitions that name a credential
// literally, ordered by workflow. References from templates are not included.
func (c *Catalog) Usages(ctx context.Context, credential string) ([]Usage, error) {
	return c.store.Usages(ctx, credential)
}

// Users returns the workflows that name each of the credentials literally, and which of ids
// exist.
func (c *Catalog) Users(ctx context.Context, credentials []string, ids []ID) (naming map[string][]ID, existing []ID, err error) {
	return c.store.Users(ctx, credentials, ids)
}

// changed drops the cached rows and notifies the listeners. The change is stored, so an error of
// a listener is logged and not returned: its own reconciler corrects it.
func (c *Catalog) changed(ctx context.Context, id ID) {
	c.cache.forget(id)
	ctx = context.WithoutCancel(ctx)
	for _, l := range c.listeners {
		if err := l.WorkflowChanged(ctx, id); err != nil {
			c.logger.Error("a change of a workflow was stored but not followed", "workflow", id, "error", err)
		}
	}
}

// Usage is one place that names a credential literally: a node or a trigger.
type Usage struct {
	Workflow ID     `json:"workflow"`
	Node     NodeID `json:"node,omitempty"`
	Trigger  string `json:"trigger,omitempty"`
}

// Usages maps each credential that d names literally to the places that name it.
func (d *Definition) Usages() map[string][]Usage {
	out := make(map[string][]Usage)
	for _, id := range d.NodeOrder {
		if ref := d.Nodes[id].Credential; isLiteral(ref) {
			out[ref] = append(out[ref], Usage{Workflow: d.ID, Node: id})
		}
	}
	for id, t := range d.Triggers {
		if isLiteral(t.Credential) {
			out[t.Credential] = append(out[t.Credential], Usage{Workflow: d.ID, Trigger: id})
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b Usage) int {
			return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Trigger, b.Trigger))
		})
	}
	return out
}

// JSON returns the version's definition as it was written.
func (v Version) JSON() json.RawMessage {
	if v.Definition == nil {
		return nil
	}
	return v.Definition.Source
}
