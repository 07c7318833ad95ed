package editing

import (
	"fmt"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/expression"
	"keyflow/internal/suggest"
)

// checkRules checks failure rules as written.
func (e *Edit) checkRules() {
	if len(e.In.FailureRules) > document.MaxEntries {
		e.Add("/failure_rules", problem.TooLong, fmt.Sprintf("can hold at most %d rules", document.MaxEntries))
	}
	for i, rule := range e.In.FailureRules {
		path := fmt.Sprintf("/failure_rules/%d", i)
		e.checkAction(path, rule)
		if len(rule.Status) == 0 && len(rule.Headers) == 0 && rule.Body == "" {
			e.Add(path, problem.Required, "needs a condition: status, headers or body")
		}
		for j, status := range rule.Status {
			if status < 100 || status > 599 {
				e.Add(fmt.Sprintf("%s/status/%d", path, j), problem.InvalidValue, "must be an HTTP status from 100 to 599")
			}
		}
		if rule.Body == "" {
			continue
		}
		scope := failurerule.Scope()
		scope.Shapes = map[string]expression.Shape{"response": expression.Members("status", "headers", "body")}
		if _, err := expression.Compile(rule.Body, scope); err != nil {
			e.Add(path+"/body", problem.InvalidValue, "is not an expression over response: "+err.Error())
		}
	}
}

func (e *Edit) checkAction(path string, rule credentials.FailureRule) {
	actions := []string{credentials.RuleRenew, credentials.RuleRefuse, credentials.RuleWait, credentials.RuleQuota}
	lasts := false // until says how long
	switch rule.Action {
	case credentials.RuleRefuse:
	case credentials.RuleRenew:
		if !e.Typ.Renews {
			e.Add(path+"/action", problem.InvalidValue, "renew is possible only for types with tokens; use refuse")
		}
	case credentials.RuleWait:
		lasts = true
		if !rule.NotExecuted {
			e.Add(path+"/not_executed", problem.Required, "must be true with wait: only a request that was not carried out can be repeated later")
		}
	case credentials.RuleQuota:
		lasts = true
		if rule.Until == "" {
			e.Add(path+"/until", problem.Required, "is required with quota: a time of day with its zone such as 00:00 America/Chicago, or a duration such as 1h")
		}
	case "":
		e.Add(path+"/action", problem.Required, "is required: "+strings.Join(actions, ", "))
		return
	default:
		e.Add(path+"/action", problem.InvalidValue, fmt.Sprintf("%.40q is no action%s; there are %s",
			rule.Action, suggest.DidYouMean(rule.Action, actions), strings.Join(actions, ", ")))
		return
	}
	if rule.Until == "" {
		return
	}
	if !lasts {
		e.Add(path+"/until", problem.InvalidValue, "goes with wait and quota only")
	} else if err := failurerule.CheckUntil(rule.Until); err != nil {
		e.Add(path+"/until", problem.InvalidValue, err.Error())
	}
}
