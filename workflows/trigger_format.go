package workflows

import (
	"slices"

	"keyflow/internal/suggest"
)

// triggerShape reads a trigger: its type decides which fields it may have.
type triggerShape struct{ into *Trigger }

// triggerTypes are the types of this release with their fields.
func (t *Trigger) types() map[string]fields {
	common := fields{
		{name: "type", help: "What starts the run.", shape: text[string]{&t.Type, grammar{}}, required: true},
		{name: "input", help: "Template of the run's input.", shape: anything{&t.Input, &t.HasInput}},
	}
	return map[string]fields{
		TriggerCron:    append(slices.Clone(common), t.cronFields()...),
		TriggerWebhook: append(slices.Clone(common), t.webhookFields()...),
		TriggerEvent:   append(slices.Clone(common), t.eventFields()...),
	}
}

func (t *Trigger) cronFields() fields {
	return fields{
		{name: "schedule", help: "Five cron fields (minute hour day month weekday), six with \"seconds\", a name such as @daily, or @every 5m.", shape: text[string]{&t.Schedule, scheduleGrammar}, required: true},
		{name: "timezone", help: "IANA name such as Asia/Seoul. Default UTC.", shape: text[string]{&t.Timezone, grammar{max: 100}}},
		{name: "seconds", help: "True: the schedule has six fields, the first for seconds.", shape: truth{into: &t.Seconds}},
		{name: "overlap", help: "What an occurrence does while the previous run is unfinished: allow starts another run; skip starts none; queue lets one occurrence wait; cancel_previous cancels the previous run.", shape: choice[string]{
			into: &t.Overlap, options: []string{OverlapAllow, OverlapSkip, OverlapQueue, OverlapCancelPrevious},
		}},
		{name: "catch_up", help: "How late a missed occurrence may start. Default 1m; with 0s missed occurrences do not start.", shape: maybeDuration{into: &t.CatchUp, max: maxTimeout}},
		{name: "from", help: "The first moment at which it may fire, with an offset: 2026-03-01T00:00:00+09:00.", shape: instant{&t.From}},
		{name: "until", help: "The last moment at which it may fire.", shape: instant{&t.Until}},
	}
}

func (t *Trigger) webhookFields() fields {
	return fields{
		{name: "path", help: "The URL is /hooks/ and this path; parts in braces are parameters.", shape: text[string]{&t.Path, pathGrammar}, required: true},
		{name: "methods", help: "Accepted HTTP methods. Default [\"POST\"].", shape: listOf[string]{
			into: &t.Methods, min: 1, unique: "method",
			item: func(s *string) shape {
				return choice[string]{into: s, options: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}}
			},
		}},
		{name: "credential", help: "Id of the credential that callers must present; without one the URL is public.", shape: text[string]{&t.Credential, idGrammar}},
		{name: "respond", help: "on_accept: 202 with the run's id when it is stored; on_finish: 200 with the run's output.", shape: choice[string]{into: &t.Respond, options: []string{RespondOnAccept, RespondOnFinish}}},
		{name: "respond_timeout", help: "How long on_finish waits before it answers 202. Default 30s.", shape: duration{&t.RespondTimeout, Duration(1e6), Duration(5 * 60e9)}},
		{name: "dedupe", help: "Template of a delivery id: a repeated one starts no second run.", shape: text[string]{&t.Dedupe, grammar{}}},
	}
}

func (t *Trigger) eventFields() fields {
	return fields{
		{name: "event", help: "The type of the events that start a run; com.example.ticket.* is every type below, * every type but Keyflow's own.", shape: text[string]{&t.Event, eventGrammar}, required: true},
		{name: "filter", help: "Expression over trigger.event, without braces: only events for which it is true start a run.", shape: text[string]{&t.Filter, grammar{}}},
	}
}

func (s triggerShape) read(r *report, v *value) {
	if !expect(r, v, objectKind) {
		return
	}
	types := s.into.types()
	switch word := v.member("type"); {
	case word == nil:
		r.addAt(v.start, pointerTo(v.pointer, "type"), codeRequired, "the field \"type\" is required: %s", oneOf(triggerWords()))
	case word.kind != textKind:
		expect(r, word, textKind)
	case word.text == "manual":
		r.add(word, codeNotSupported, "triggers of type %q are not supported by this release; every workflow can be started by hand without one", word.text)
	case types[word.text] == nil:
		r.add(word, codeValue, "%q is not a trigger type: it must be %s%s", clip(word.text, 80), oneOf(triggerWords()), suggest.DidYouMean(word.text, triggerWords()))
	default:
		types[word.text].read(r, v)
	}
}

func triggerWords() []string { return []string{TriggerCron, TriggerWebhook, TriggerEvent} }

func (s triggerShape) schema() map[string]any {
	variants := []any{}
	for _, word := range triggerWords() {
		variant := new(Trigger).types()[word].schema()
		variant["properties"].(map[string]any)["type"] = map[string]any{"const": word}
		variants = append(variants, variant)
	}
	return map[string]any{"oneOf": variants}
}
