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
	// nodeInstance are the addresses at which the scripts' metrics were scraped.
	nodeInstance = regexp.MustCompile(`\binstance\s*=~?\s*["'][^"']*:(9100|9221|9275)["']`)
	// lists are lists of labels: of aggregations, of joins and of a dashboard's variable.
	lists = regexp.MustCompile(`(?i)\b(?:by|without|on|ignoring|group_left|group_right|label_values)\s*\(([^()]*)\)`)
	// made are labels that the expression itself makes.
	made = regexp.MustCompile(`\b(?:label_replace|label_join)\s*\(`)
	// inert takes from strings what would be taken for PromQL.
	inert = strings.NewReplacer("{", "_", "}", "_", "(", "_", ")", "_")
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
		switch {
		case !slices.Contains(words, n.Old):
		case !n.Kept():
			found = append(found, fmt.Sprintf("%s -> %s", n.Old, strings.Join(n.New, ", ")))
		default:
			found = append(found, staleLabels(n, expr, bare)...)
		}
	}
	return found
}

// staleLabels says what of the labels by which expr, or bare without strings and matchers, selects
// or joins a name that stayed is the scripts' alone.
func staleLabels(n Name, expr, bare string) []string {
	var found []string
	tell := func(format string, args ...any) {
		if s := n.Old + ": " + fmt.Sprintf(format, args...); !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	lost := false
	for _, m := range matchersOf(n.Old, expr) {
		if job := nodeJob.FindString(m); job != "" {
			tell("%s -> job=\"vulcan_exporter\"", job)
		}
		if instance := nodeInstance.FindString(m); instance != "" {
			tell("%s -> the instance of vulcan_exporter", instance)
		}
		lost = lost || n.Gone != "" && regexp.MustCompile(`\b`+n.Gone+`\s*(=|!)`).MatchString(quoted.ReplaceAllString(m, `""`))
	}
	if n.Gone != "" && !made.MatchString(bare) {
		for _, m := range lists.FindAllStringSubmatch(bare, -1) {
			lost = lost || slices.Contains(identifier.FindAllString(m[1], -1), n.Gone)
		}
	}
	if lost {
		tell("label %s; %s", n.Gone, strings.ReplaceAll(n.Note, "`", ""))
	}
	return found
}

// matchersOf lists the {...} that select a name, before them or among them.
func matchersOf(name, expr string) []string {
	expr = quoted.ReplaceAllStringFunc(expr, inert.Replace)
	found := regexp.MustCompile(`\b`+name+`\s*\{([^{}]*)\}`).FindAllString(expr, -1)
	for _, m := range braces.FindAllString(expr, -1) {
		for _, names := range named.FindAllStringSubmatch(m, -1) {
			if slices.Contains(identifier.FindAllString(names[1], -1), name) {
				found = append(found, m)
			}
		}
	}
	return found
}
