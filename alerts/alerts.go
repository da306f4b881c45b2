package alerts

import "embed"

// Files are the shipped rules and runbooks, for the page that `vulcan_exporter docs` makes of them.
//
//go:embed *.yml runbooks/*.md
var Files embed.FS
