package decrypted

import (
	"keyflow/credentials"
	"keyflow/credentials/internal/reach"
)

// Complete gives a record its defaults: no null where a list or object is meant.
func Complete(c credentials.Credential) credentials.Credential {
	if c.AllowedWorkflows == nil {
		c.AllowedWorkflows = reach.OwnFolder(c.Folder)
	}
	c.Labels, c.Fields, c.Secrets = OrEmpty(c.Labels), OrEmpty(c.Fields), OrEmpty(c.Secrets)
	for _, list := range []*[]string{&c.AllowedHosts, &c.RotatableBy} {
		if *list == nil {
			*list = []string{}
		}
	}
	if c.Candidate != nil {
		candidate := *c.Candidate
		candidate.Fields, candidate.Secrets = OrEmpty(candidate.Fields), OrEmpty(candidate.Secrets)
		c.Candidate = &candidate
	}
	if c.FailureRules == nil {
		c.FailureRules = []credentials.FailureRule{}
	}
	return c
}

// OrEmpty is m, or an empty map when it is nil.
func OrEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
