package alertmanager

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestConfigIsValid(t *testing.T) {
	if out, err := exec.Command(testenv.Tool(t, "amtool"), "check-config", config).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// receiver is where an alert has to go. The severities are those of the promise in the README.
func receiver(name, severity string) string {
	if name == "Watchdog" {
		return "dead_mans_switch"
	}
	return map[string]string{"critical": "mail_and_page", "warning": "mail", "info": "none"}[severity]
}

func TestRoutes(t *testing.T) {
	amtool := testenv.Tool(t, "amtool")
	for name, a := range alerts(t) {
		want := receiver(name, a.labels["severity"])
		if got := route(t, amtool, name, a.samples[0]); got != want {
			t.Errorf("%s (%s) goes to %q, want %q", name, a.labels["severity"], got, want)
		}
	}
	if got := route(t, amtool, "SomebodyElses", map[string]string{"team": "x"}); got != "mail" {
		t.Errorf("an alert without a severity goes to %q, want mail", got)
	}
}

// route asks amtool for the receivers of an alert.
func route(t *testing.T, amtool, name string, labels map[string]string) string {
	t.Helper()
	args := []string{"config", "routes", "test", "--config.file=" + config, "alertname=" + name}
	for label, value := range labels {
		args = append(args, label+"="+quoted(value))
	}
	out, err := exec.Command(amtool, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func quoted(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// inhibitRule is one entry of inhibit_rules.
type inhibitRule struct {
	Source []string `yaml:"source_matchers"`
	Target []string `yaml:"target_matchers"`
	Equal  []string `yaml:"equal"`
}

func inhibitRules(t *testing.T) []inhibitRule {
	t.Helper()
	var file struct {
		Rules []inhibitRule `yaml:"inhibit_rules"`
	}
	decode(t, config, &file)
	if len(file.Rules) == 0 {
		t.Fatal("no inhibit_rules")
	}
	return file.Rules
}

// Alertmanager takes a label that both sides lack for equal: a rule with a misspelt label would
// silence every alert of its kind on all hosts.
func TestInhibitionNeedsItsLabels(t *testing.T) {
	for _, rule := range inhibitRules(t) {
		if !slices.Contains(rule.Equal, "instance") {
			t.Errorf("%v: silences across instances", rule)
		}
		for _, label := range rule.Equal {
			if !slices.Contains(rule.Target, label+`!=""`) {
				t.Errorf("%v: %s is not required to be there", rule, label)
			}
		}
	}
}

// Each condition that alerts of two delivered severities share has a rule, and no rule is there
// for a condition that nobody shares.
func TestInhibitionCoversSharedConditions(t *testing.T) {
	severities := map[string][]string{}
	for _, a := range alerts(t) {
		if a.labels["severity"] != "info" {
			severities[a.labels["condition"]] = append(severities[a.labels["condition"]], a.labels["severity"])
		}
	}
	covered := map[string]bool{}
	for _, rule := range inhibitRules(t) {
		for _, matcher := range rule.Source {
			if value, ok := strings.CutPrefix(matcher, "condition="); ok {
				covered[strings.Trim(value, `"`)] = true
			}
		}
	}
	for condition, all := range severities {
		shared := slices.Contains(all, "critical") && slices.Contains(all, "warning")
		if shared && !covered[condition] {
			t.Errorf("critical and warning alerts share the condition %s, and nothing silences the lesser", condition)
		}
		if !shared && covered[condition] {
			t.Errorf("no pair of alerts shares the condition %s", condition)
		}
		delete(covered, condition)
	}
	for condition := range covered {
		t.Errorf("no alert has the condition %s", condition)
	}
}
