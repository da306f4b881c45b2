package alerts

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	upSelector = regexp.MustCompile(`\bup\{([^}]*)\}`)
	jobMatcher = regexp.MustCompile(`job(=~|=|!~|!=)"([^"]*)"`)
	jobName    = regexp.MustCompile(`(?m)^ *- job_name: "?([\w-]+)"?$`)
)

// TestTargetDownOwnsTheRest: a target that is away is told once: by TargetDown, or by the one
// alert that names its job. Both ways round: TargetDown leaves out no job that nobody else names.
func TestTargetDownOwnsTheRest(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobName.FindAllStringSubmatch(string(content), -1)
	if len(jobs) < 20 {
		t.Fatalf("only %d jobs in prometheus.yml", len(jobs))
	}
	for _, job := range jobs {
		var owners []string
		general := false
		for _, r := range alertsOf(t) {
			for _, selector := range upSelector.FindAllStringSubmatch(r.Expr, -1) {
				if !selects(selector[1], job[1]) {
					continue
				}
				if r.Alert == "TargetDown" {
					general = true
				} else if !strings.Contains(strings.Join(owners, " "), r.Alert) {
					owners = append(owners, r.Alert)
				}
			}
		}
		if general == (len(owners) > 0) {
			t.Errorf("job %s: TargetDown: %v, others: %v", job[1], general, owners)
		}
	}
}

// selects evaluates the matchers on job of a selector.
func selects(matchers, job string) bool {
	found := jobMatcher.FindAllStringSubmatch(matchers, -1)
	for _, m := range found {
		equal := regexp.MustCompile("^(?:" + m[2] + ")$").MatchString(job)
		if equal == strings.HasPrefix(m[1], "!") {
			return false
		}
	}
	return len(found) > 0
}
