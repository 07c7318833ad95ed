package vault

import (
	"fmt"
	"strings"

	"keyflow/credentials"
	"keyflow/internal/expression"
	"keyflow/internal/suggest"
)

// The actions of failure rules.
const (
	actionRenew  = "renew"
	actionRefuse = "refuse"
	actionWait   = "wait"
	actionQuota  = "quota"
)

// ruleScope is what the body expression of a failure rule may read.
func ruleScope() expression.Scope { return expression.Scope{Names: []string{"response"}} }

func (e *edit) checkRules() {
	if len(e.in.FailureRules) > maxEntries {
		e.add("/failure_rules", codeTooLong, fmt.Sprintf("can hold at most %d rules", maxEntries))
	}
	for i, rule := range e.in.FailureRules {
		path := fmt.Sprintf("/failure_rules/%d", i)
		e.checkAction(path, rule)
		if len(rule.Status) == 0 && len(rule.Headers) == 0 && rule.Body == "" {
			e.add(path, codeRequired, "needs a condition: status, headers or body")
		}
		for j, status := range rule.Status {
			if status < 100 || status > 599 {
				e.add(fmt.Sprintf("%s/status/%d", path, j), codeInvalidValue, "must be an HTTP status from 100 to 599")
			}
		}
		if rule.Body == "" {
			continue
		}
		scope := ruleScope()
		scope.Shapes = map[string]expression.Shape{"response": expression.Members("status", "headers", "body")}
		if _, err := expression.Compile(rule.Body, scope); err != nil {
			e.add(path+"/body", codeInvalidValue, "is not an expression over response: "+err.Error())
		}
	}
}

func (e *edit) checkAction(path string, rule credentials.FailureRule) {
	actions := []string{actionRenew, actionRefuse, actionWait, actionQuota}
	lasts := false // until says how long
	switch rule.Action {
	case actionRefuse:
	case actionRenew:
		if !e.typ.renews {
			e.add(path+"/action", codeInvalidValue, "renew is possible only for types with tokens; use refuse")
		}
	case actionWait:
		lasts = true
		if !rule.NotExecuted {
			e.add(path+"/not_executed", codeRequired, "must be true with wait: only a request that was not carried out can be repeated later")
		}
	case actionQuota:
		lasts = true
		if rule.Until == "" {
			e.add(path+"/until", codeRequired, "is required with quota: a time of day with its zone such as 00:00 America/Chicago, or a duration such as 1h")
		}
	case "":
		e.add(path+"/action", codeRequired, "is required: "+strings.Join(actions, ", "))
		return
	default:
		e.add(path+"/action", codeInvalidValue, fmt.Sprintf("%.40q is no action%s; there are %s",
			rule.Action, suggest.DidYouMean(rule.Action, actions), strings.Join(actions, ", ")))
		return
	}
	if rule.Until == "" {
		return
	}
	if !lasts {
		e.add(path+"/until", codeInvalidValue, "goes with wait and quota only")
	} else if err := checkUntil(rule.Until); err != nil {
		e.add(path+"/until", codeInvalidValue, err.Error())
	}
}
