package workflows

import (
	"regexp"
	"time"
)

// Limits of a definition.
const (
	MaxSize  = 1 << 20 // bytes of the source
	MaxNodes = 1000

	maxDepth    = 100 // nesting of lists and objects
	maxTriggers = 100
	maxLabels   = 64
)

const (
	maxTimeout       = Duration(365 * day)
	defaultTimeout   = Duration(day)
	defaultHold      = Duration(day)
	defaultCatchUp   = Duration(time.Minute)
	defaultRespondIn = Duration(30 * time.Second)
)

// Values of the word fields of a definition, besides RunOn.
const (
	TriggerCron    = "cron"
	TriggerWebhook = "webhook"
	TriggerEvent   = "event"

	Fail     = "fail"     // on_error, on_item_error, on_needs_connect
	Wait     = "wait"     // on_needs_connect
	Continue = "continue" // on_error, on_item_error

	RespondOnAccept = "on_accept"
	RespondOnFinish = "on_finish"

	// What a cron trigger does while its previous run is unfinished.
	OverlapAllow          = "allow"
	OverlapSkip           = "skip"
	OverlapQueue          = "queue"
	OverlapCancelPrevious = "cancel_previous"
)

// What a start does when the limit of "concurrency" is reached.
const (
	OnLimitQueue        = "queue"
	OnLimitSkip         = "skip"
	OnLimitCancelOldest = "cancel_oldest"

	// MaxConcurrency is the highest limit; without "concurrency" there is none.
	MaxConcurrency = 10_000
)

// The grammars of names. They are immutable.
var idGrammar = grammar{pattern: regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`), hint: "1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit"}

var nodeGrammar = grammar{pattern: regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`), hint: "1 to 63 letters, digits or '_', not beginning with a digit"}

var triggerGrammar = grammar{pattern: regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$`), hint: "1 to 63 letters, digits, '-' or '_'"}

var folderGrammar = grammar{
	pattern: regexp.MustCompile(`^(/|(/[a-z0-9][a-z0-9_-]{0,62}){1,10})$`),
	hint:    "\"/\" or up to 10 parts such as \"/partners/acme\" of lower-case letters, digits, '-' and '_'",
}

var credentialGrammar = grammar{
	pattern: regexp.MustCompile(`^([a-z0-9][a-z0-9_-]{0,62}|[\s\S]*\{\{[\s\S]*)$`),
	hint:    "the id of a credential (lower-case letters, digits, '-', '_') or a template such as \"partner-{{ item.id }}\"",
}

var pathGrammar = grammar{
	pattern: regexp.MustCompile(`^([A-Za-z0-9_~-][A-Za-z0-9._~-]*|\{[A-Za-z_][A-Za-z0-9_]*\})(/([A-Za-z0-9_~-][A-Za-z0-9._~-]*|\{[A-Za-z_][A-Za-z0-9_]*\}))*$`),
	hint:    "parts such as \"orders/new\" or \"orders/{id}\" of letters, digits, '-', '_', '.' and '~', without a '/' at either end",
	max:     200,
}

// scheduleGrammar accepts every text; package triggers checks schedules.
var scheduleGrammar = grammar{
	pattern: regexp.MustCompile(`^\s*\S`),
	hint:    "five cron fields such as \"0 2 * * *\", a name such as @daily, or @every 5m",
	max:     200,
}

// eventGrammar is a type of CloudEvents, whole or up to a last part that is *.
var eventGrammar = grammar{
	pattern: regexp.MustCompile(`^(\*|[^*\x00-\x1f\x7f]*\.\*|[^*\x00-\x1f\x7f]+)$`),
	hint:    "a type such as \"com.example.ticket.created\", or \"com.example.ticket.*\" for all below it; * is allowed alone or after the last dot",
	max:     255,
}

var labelGrammar = grammar{pattern: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$`), hint: "1 to 63 letters, digits, '-', '_', '.' or '/'"}

// fields is the whole format of a workflow file: the parser and the JSON Schema have the fields of
// this table and no others.
func (d *Definition) fields() fields {
	return fields{
		{name: "$schema", help: "Where this file's JSON Schema is; ignored.", shape: text[string]{new(string), grammar{}}},
		{name: "id", help: "Names the workflow; unique, never changes.", shape: text[ID]{&d.ID, idGrammar}, required: true},
		{name: "name", help: "For people; default: the id.", shape: label{&d.Name, 200}},
		{name: "folder", help: "Where the workflow lives, such as /partners/acme; permissions follow it. Default /.", shape: text[string]{&d.Folder, folderGrammar}},
		{name: "description", help: "For people.", shape: text[string]{&d.Description, grammar{max: 10_000}}},
		{name: "labels", help: "Free key-value texts.", shape: entries[string, string]{
			into: &d.Labels, key: labelGrammar, what: "label", max: maxLabels,
			value: func(s *string) shape { return label{s, 255} },
		}},
		{name: "enabled", help: "False: triggers do not fire; a manual start is still possible. Without it, the workflow stays enabled or disabled.", shape: maybe{&d.Enabled}},
		{name: "input", help: "JSON Schema of a run's input, checked at start.", shape: raw{&d.Input, d.Source}},
		{name: "vars", help: "Constants, read as vars.NAME.", shape: freeObject{&d.Vars}},
		{name: "triggers", help: "What starts runs, by id.", shape: entries[string, Trigger]{
			into: &d.Triggers, key: triggerGrammar, what: "trigger id", max: maxTriggers,
			value: func(t *Trigger) shape { return triggerShape{t} },
		}},
		{name: "nodes", help: "The steps, by id.", shape: entries[NodeID, *Node]{
			into: &d.Nodes, key: nodeGrammar, what: "node id", min: 1, max: MaxNodes, order: &d.NodeOrder,
			value: func(n **Node) shape { *n = new(Node); return (*n).fields() },
		}, required: true},
		{name: "output", help: "Template of the run's result; default null.", shape: anything{into: &d.Output}},
		{name: "timeout", help: "Of a whole run, waiting not counted. Default 24h.", shape: duration{&d.Timeout, Duration(time.Millisecond), maxTimeout}},
		{name: "on_needs_connect", help: "What a step does when its credential must be connected: wait (default) or fail.", shape: choice[string]{into: &d.OnNeedsConnect, options: []string{Wait, Fail}}},
		{name: "needs_connect_timeout", help: "How long such a step waits before it fails. Default 24h.", shape: duration{&d.NeedsConnectTimeout, Duration(time.Millisecond), maxTimeout}},
		{name: "concurrency", help: "How many runs may be unfinished at once, and what happens to the others.", shape: concurrencyShape{&d.Concurrency}},
		{name: "on_failure", help: "ID of the workflow that is started when a run fails, with {run_id, workflow, error, failed_nodes, input}.", shape: text[ID]{&d.OnFailure, idGrammar}},
	}
}

func (n *Node) fields() fields {
	return fields{
		{name: "type", help: "What the node does.", shape: text[string]{&n.Type, grammar{}}, required: true},
		{name: "name", help: "For people; default: the id.", shape: label{&n.Name, 200}},
		{name: "description", help: "For people.", shape: text[string]{&n.Description, grammar{max: 10_000}}},
		{name: "needs", help: "Ids of the nodes that must be finished first.", shape: listOf[NodeID]{
			into: &n.Needs, unique: "need", item: func(id *NodeID) shape { return text[NodeID]{id, grammar{}} },
		}},
		{name: "run_on", help: "After which results of its needs the node runs. Default success.", shape: choice[RunOn]{into: &n.RunOn, options: []RunOn{RunOnSuccess, RunOnAllSuccess, RunOnFailure, RunOnAlways}}},
		{name: "if", help: "Boolean expression; false: the node is skipped.", shape: text[string]{&n.If, grammar{}}},
		{name: "for_each", help: "Expression giving a list or map: one step per element.", shape: text[string]{&n.ForEach, grammar{}}},
		{name: "max_parallel", help: "Elements of for_each at once. Default 1.", shape: number[int]{&n.MaxParallel, 1, 1000}},
		{name: "on_item_error", help: "fail: the node fails with the first element that does; continue: its output is {\"error\": ...}.", shape: choice[string]{into: &n.OnItemError, options: []string{Fail, Continue}}},
		{name: "credential", help: "Id of the credential that authenticates the node's requests, or a template.", shape: text[string]{&n.Credential, credentialGrammar}},
		{name: "with", help: "Parameters of the type; every string may be a template.", shape: freeObject{&n.With}},
		{name: "output", help: "Template over this (the raw output): what later nodes see.", shape: anything{&n.Output, &n.HasOutput}},
		{name: "timeout", help: "Of one attempt, for example 30s.", shape: duration{&n.Timeout, Duration(time.Millisecond), maxTimeout}},
		{name: "sensitive", help: "Encrypts the output: it is *** everywhere except in with.fields of a credential node.", shape: truth{into: &n.Sensitive}},
		{name: "retry", help: "When and how often a failed attempt is repeated.", shape: retryShape{&n.Retry}},
		{name: "on_error", help: "fail: the run fails; continue: it continues.", shape: choice[string]{into: &n.OnError, options: []string{Fail, Continue}}},
		{name: "at_most_once", help: "One attempt ever; excludes retry.", shape: truth{into: &n.AtMostOnce}},
	}
}

func (x *Retry) fields() fields {
	return fields{
		{name: "max_attempts", help: "Counts the first.", shape: number[int]{&x.MaxAttempts, 1, 100}},
		{name: "initial", help: "Wait before the second attempt. Default 1s.", shape: duration{&x.Initial, Duration(time.Millisecond), Duration(day)}},
		{name: "factor", help: "Each wait is this many times the one before. Default 2.", shape: number[float64]{&x.Factor, 1, 100}},
		{name: "max", help: "No wait is longer. Default 1m.", shape: duration{&x.Max, Duration(time.Millisecond), Duration(day)}},
		{name: "jitter", help: "Shortens waits at random, so that many runs do not retry at once.", shape: truth{into: &x.Jitter}},
		{name: "if", help: "Expression over error: whether to retry.", shape: text[string]{&x.If, grammar{}}},
	}
}

// retryShape creates the optional object when it is given.
type retryShape struct{ into **Retry }

func (s retryShape) read(r *report, v *value) {
	*s.into = new(Retry)
	(*s.into).fields().read(r, v)
}

func (s retryShape) schema() map[string]any { return new(Retry).fields().schema() }
