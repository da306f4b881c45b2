package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	// quoted are the strings of PromQL and LogQL.
	quoted = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`")
	// named are matchers of the metric's name, whose string counts.
	named = regexp.MustCompile("__name__\\s*=~?\\s*(\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*')")
	// braces are matchers and label lists, where words are labels.
	braces     = regexp.MustCompile(`\{[^{}]*\}`)
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	nodeJob    = regexp.MustCompile(`\bjob\s*=~?\s*["'](node|critical-services-health|dns_query_logs)["']`)
)

// Stale says of each part of a PromQL expression that only the old scripts
// satisfy what to write instead: old names, and labels that stayed names lost.
func Stale(expr string) []string {
	var words []string
	for _, m := range named.FindAllStringSubmatch(expr, -1) {
		words = append(words, identifier.FindAllString(m[1], -1)...)
	}
	bare := braces.ReplaceAllString(quoted.ReplaceAllString(expr, `""`), "{}")
	words = append(words, identifier.FindAllString(bare, -1)...)
	var found []string
	for _, n := range Names() {
		if !slices.Contains(words, n.Old) {
			continue
		}
		if !n.Kept() {
			found = append(found, fmt.Sprintf("%s -> %s", n.Old, strings.Join(n.New, ", ")))
			continue
		}
		matchers := regexp.MustCompile(`\b`+n.Old+`\s*\{([^{}]*)\}`).FindAllString(expr, -1)
		for _, m := range matchers {
			if job := nodeJob.FindString(m); job != "" {
				found = append(found, fmt.Sprintf("%s: %s -> job=\"vulcan_exporter\"", n.Old, job))
			}
			if n.Gone != "" && regexp.MustCompile(`\b`+n.Gone+`\s*(=|!)`).MatchString(m) {
				found = append(found, fmt.Sprintf("%s: label %s; %s", n.Old, n.Gone, strings.ReplaceAll(n.Note, "`", "")))
			}
		}
	}
	return found
}
