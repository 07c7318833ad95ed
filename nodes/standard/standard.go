// Package standard holds the built-in node types (docs/reference/workflow-format.md), one file and
// one test each; docs/contributing/add-a-node-type.md says how to add one. Nodes turn parameters
// into requests and answers into plain data; who authenticates a request, when a failed one is
// repeated and where a result is stored is not theirs to know. Nodes have no state: one value
// serves all steps at once.
package standard

import "keyflow/nodes"

// Types returns the built-in node types, in the order in which they are documented.
func Types() []nodes.Type {
	return []nodes.Type{
		webRequestType(), webhookType(), transformType(), waitType(), approvalType(), workflowType(), respondType(), emitType(),
		credentialType(), failType(),
	}
}
