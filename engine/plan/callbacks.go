package plan

import (
	"net/http"

	"keyflow/workflows"
)

// waitsForCallback reports whether a node may wait for a call of its URL.
func waitsForCallback(def *workflows.Node) bool {
	called := def.With["callback"]
	return def.Type == "wait" && called != nil && called != false
}

// callbackMethods are the methods of calls that end the wait. HEAD is never one of them.
func callbackMethods(def *workflows.Node) []string {
	list, _ := def.With["methods"].([]any)
	if list == nil {
		return []string{http.MethodPost, http.MethodPut}
	}
	methods := make([]string, 0, len(list))
	for _, v := range list {
		if text, ok := v.(string); ok {
			methods = append(methods, text)
		}
	}
	return methods
}

// callbackNodes are the nodes that callback_url takes; not nil.
func (c *compiler) callbackNodes() []string {
	ids := c.noCallbacks()
	for _, id := range c.nodeNames() {
		if waitsForCallback(c.definition.Nodes[workflows.NodeID(id)]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// noCallbacks is the list for a place where callback_url is not available.
func (c *compiler) noCallbacks() []string {
	if !c.strict {
		return nil
	}
	return []string{}
}
