package web

import (
	"keyflow/credentials"
	"keyflow/credentials/transfer"
	"keyflow/internal/cloudevent"
)

// register is every route but the page's files and /hooks/. A route needs sign-in unless it
// says otherwise here.
func (s *server) register(a *api) {
	add(a, get("/setup", "Whether the first administrator is still to be made").withoutSignIn(), s.setUpState)
	add(a, post("/setup", "Make the first administrator").json(setUpBody{}).maxBytes(64<<10).answers(201).withoutSignIn(), s.setUp)
	add(a, post("/session", "Sign in").json(signInBody{}).maxBytes(64<<10).withoutSignIn(), s.signIn)
	add(a, get("/session", "Who am I, and what may I do"), s.whoAmI)
	add(a, del("/session", "Sign out").withoutSignIn(), s.signOut)
	add(a, get("/tokens", "List API tokens"), s.listTokens)
	add(a, post("/tokens", "Make an API token").json(tokenBody{}).answers(201), s.createToken)
	add(a, del("/tokens/{id}", "Revoke an API token"), s.revokeToken)

	add(a, get("/credentials", "List credentials"), s.listCredentials)
	add(a, post("/credentials", "Create a credential").json(credentials.Input{}).answers(201), s.createCredential)
	add(a, post("/credentials/test", "Test values that are not saved").json(credentials.Input{}), s.testUnsaved)
	add(a, post("/credentials/import", "Create and change many credentials, all or none").json(importBody{}).orCSVBody().maxBytes(transfer.MaxBytes), s.importCredentials)
	add(a, get("/credentials/{id}", "Read a credential, without its secrets"), s.getCredential)
	add(a, put("/credentials/{id}", "Replace a credential; absent secrets keep their value").json(credentials.Input{}), s.replaceCredential)
	add(a, patch("/credentials/{id}", "Change a credential (JSON merge patch)").json(credentials.Input{}), s.patchCredential)
	add(a, del("/credentials/{id}", "Delete a credential that nothing uses"), s.deleteCredential)
	add(a, post("/credentials/{id}/test", "Test a credential, or its candidate").json(testBody{}).optionalBody(), s.testCredential)
	add(a, put("/credentials/{id}/candidate", "Put new values of fields beside the current ones").json(candidateBody{}), s.stageCredential)
	add(a, del("/credentials/{id}/candidate", "Drop the candidate"), s.unstageCredential)
	add(a, post("/credentials/{id}/promote", "Make the candidate the current version, after a test").json(credentials.Promotion{}).optionalBody(), s.promoteCredential)
	add(a, post("/credentials/{id}/connect", "Begin an OAuth authorization"), s.connectCredential)
	add(a, post("/credentials/{id}/disconnect", "Forget the OAuth token"), s.disconnectCredential)
	add(a, post("/credentials/{id}/refresh", "Get a new OAuth token now"), s.refreshCredential)
	add(a, get("/credentials/{id}/usages", "Who names this credential, or used it at run time"), s.credentialUsages)
	add(a, get("/credentials/{id}/uses", "Every request with this credential, newest runs first"), s.credentialUses)
	add(a, get("/credentials/{id}/versions", "Versions of the fields, newest first"), s.credentialVersions)
	add(a, post("/credentials/{id}/rollback", "Make a new version with the fields of an earlier one").json(rollbackBody{}).optionalBody(), s.rollbackCredential)
	add(a, get("/credential-types", "Authentication types and their fields"), s.credentialTypes)
	add(a, get("/credential-presets", "Filled-in credentials for known providers"), s.credentialPresets)

	add(a, get("/keys", "Master keys by id, what each has sealed, and how far a rotation is"), s.keyStatus)
	add(a, post("/keys/rotate", "Add a master key and re-encrypt every secret with it, in the background").answers(202), s.rotateKeys)
	add(a, post("/backup", "A copy of the SQLite database, without the master key"), s.backup)

	add(a, get("/workflows", "List workflows"), s.listWorkflows)
	add(a, post("/workflows/validate", "Check a definition and store nothing").json(definition{}).maxBytes(maxDefinition), s.validateWorkflow)
	add(a, get("/workflows/{id}", "Read a workflow with its definition"), s.getWorkflow)
	add(a, put("/workflows/{id}", "Create or replace a workflow").json(definition{}).maxBytes(maxDefinition), s.putWorkflow)
	add(a, del("/workflows/{id}", "Delete a workflow; its runs and history stay"), s.deleteWorkflow)
	add(a, get("/workflows/{id}/versions", "List versions, newest first"), s.workflowVersions)
	add(a, get("/workflows/{id}/versions/{n}", "Read one version"), s.workflowVersion)
	add(a, post("/workflows/{id}/enable", "Turn the triggers on"), s.enableWorkflow)
	add(a, post("/workflows/{id}/disable", "Turn the triggers off"), s.disableWorkflow)
	add(a, post("/workflows/{id}/runs", "Start a run").json(runBody{}).optionalBody().maxBytes(5<<20).answers(202).or(200, "With wait: the run ended in time."), s.startRun)

	add(a, get("/runs", "List runs, newest first"), s.listRuns)
	add(a, get("/runs/{id}", "Read a run with its steps, or with the first of them when there are many"), s.getRun)
	add(a, get("/runs/{id}/steps", "List the steps of a run: of nodes, then the elements of for_each"), s.listSteps)
	add(a, get("/runs/{id}/events", "Follow a run: server-sent events, resumable with Last-Event-ID").streams().or(204, "The run has ended and nothing more will come."), s.runEvents)
	add(a, del("/runs/{id}", "Delete a finished run"), s.deleteRun)
	add(a, post("/runs/{id}/cancel", "Cancel a run").answers(202), s.cancelRun)
	add(a, post("/runs/{id}/retry", "Start an ended run again, from what failed or from the start").json(runRetry{}).optionalBody().answers(202), s.retryRun)
	add(a, post("/runs/{id}/steps/{node}/approve", "Approve what a step waits for").json(decisionBody{}).optionalBody(), s.approveStep)
	add(a, post("/runs/{id}/steps/{node}/reject", "Reject what a step waits for").json(decisionBody{}).optionalBody(), s.rejectStep)
	add(a, post("/events", "Send CloudEvents 1.0, which start what event triggers want them").json(cloudEvent{}).orList().also(eventForms()).maxBytes(cloudevent.MaxBody).answers(202), s.receiveEvents)
	add(a, get("/triggers", "List triggers with their next times"), s.listTriggers)

	a.plain("GET "+v1+"/schema/workflow", s.workflowSchema)
	a.plain("GET "+v1+"/schema/credential", s.credentialSchema)
	a.plain("GET /metrics", s.metrics.handler())
	a.plainOpen("GET /healthz", s.healthz)
	a.plainOpen("GET /readyz", s.readyz)
	a.plainOpen("GET /openapi.json", s.openAPI)
	a.plainOpen("GET /docs", s.docs)
	a.plainOpen("GET "+credentials.CallbackPath, s.oauthCallback) // asks for the session itself: its answers are pages
}

// maxDefinition leaves the catalog to refuse a definition over 1 MiB in its own words.
const maxDefinition = 1<<20 + 64<<10
