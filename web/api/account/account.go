// Package account has the routes of sign-in, the first administrator and API tokens.
//
// Package session decides; this one must not know how passwords and tokens are kept.
package account

import (
	"keyflow/web/rest"
	"keyflow/web/session"
)

// Options is what the routes need.
type Options struct {
	Session *session.Service
	// Link is the public URL with a path below it.
	Link func(path string) string
}

type handlers struct{ Options }

// Register adds the routes.
func Register(a *rest.API, o Options) {
	h := &handlers{o}
	rest.Add(a, rest.Get("/setup", "Whether the first administrator has to be created").WithoutSignIn(), h.setUpState)
	rest.Add(a, rest.Post("/setup", "Create the first administrator").JSON(setUpBody{}).MaxBytes(64<<10).Answers(201).WithoutSignIn(), h.setUp)
	rest.Add(a, rest.Post("/session", "Sign in").JSON(signInBody{}).MaxBytes(64<<10).WithoutSignIn(), h.signIn)
	rest.Add(a, rest.Get("/session", "Show the caller and its rights"), h.whoAmI)
	rest.Add(a, rest.Delete("/session", "Sign out").WithoutSignIn(), h.signOut)
	rest.Add(a, rest.Get("/tokens", "List API tokens"), h.listTokens)
	rest.Add(a, rest.Post("/tokens", "Create an API token").JSON(tokenBody{}).Answers(201), h.createToken)
	rest.Add(a, rest.Delete("/tokens/{id}", "Revoke an API token"), h.revokeToken)
}
