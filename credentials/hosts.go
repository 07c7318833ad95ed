package credentials

import "net/url"

// allowedHost reports whether any of the host patterns covers u.
func allowedHost(patterns []string, u *url.URL) bool { return false }

// allowedWorkflow reports whether any of the patterns covers the workflow in its folder.
func allowedWorkflow(patterns []string, folder, workflow string) bool { return false }
