package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

var (
	// rangePattern matches the range of a selector, [15m], and of a subquery, [1h:5m].
	rangePattern = regexp.MustCompile(`\[(\w+)(:\w*)?\]`)
	// offsetPattern matches an offset modifier.
	offsetPattern = regexp.MustCompile(`\boffset (\w+)`)
	// minutesPattern matches an allowance in minutes, written as "10 * 60".
	minutesPattern = regexp.MustCompile(`\* 60\b`)
)

// ScaleRules returns a copy of a rule file in which durations are divided by factor: `for`,
// `keep_firing_for`, a group's `interval`, ranges, offsets, and allowances that an expression
// writes in minutes, "10 * 60". Numbers in hours or days ("* 3600", "* 86400") are facts about
// what is observed, such as the life of a certificate, and stay.
func ScaleRules(shipped []byte, factor float64) ([]byte, error) {
	var file struct {
		Groups []map[string]any `yaml:"groups"`
	}
	if err := yaml.Unmarshal(shipped, &file); err != nil {
		return nil, err
	}
	for _, group := range file.Groups {
		if err := scaleFields(group, factor); err != nil {
			return nil, err
		}
		rules, _ := group["rules"].([]any)
		for _, rule := range rules {
			if err := scaleFields(rule.(map[string]any), factor); err != nil {
				return nil, err
			}
		}
	}
	return yaml.Marshal(file)
}

// scaleFields changes the durations of a group or a rule.
func scaleFields(fields map[string]any, factor float64) error {
	for name, scale := range map[string]func(string, float64) (string, error){
		"interval": scaleDuration, "for": scaleDuration, "keep_firing_for": scaleDuration, "expr": scaleExpr,
	} {
		text, ok := fields[name].(string)
		if !ok {
			continue
		}
		scaled, err := scale(text, factor)
		if err != nil {
			return fmt.Errorf("%s %q: %w", name, text, err)
		}
		fields[name] = scaled
	}
	return nil
}

func scaleExpr(expr string, factor float64) (string, error) {
	var failed error
	scale := func(text string) string {
		scaled, err := scaleDuration(text, factor)
		if err != nil {
			failed = err
		}
		return scaled
	}
	expr = rangePattern.ReplaceAllStringFunc(expr, func(match string) string {
		part := rangePattern.FindStringSubmatch(match)
		scaled := scale(part[1])
		if part[2] != "" {
			scaled += ":" // without a step a subquery uses the evaluation interval
		}
		return "[" + scaled + "]"
	})
	expr = offsetPattern.ReplaceAllStringFunc(expr, func(match string) string {
		return "offset " + scale(offsetPattern.FindStringSubmatch(match)[1])
	})
	minute := strconv.FormatFloat(60/factor, 'g', -1, 64)
	return minutesPattern.ReplaceAllString(expr, "* "+minute), failed
}

// scaleDuration rounds to milliseconds, the resolution of Prometheus. Less than a second is
// less than a scrape and would turn `for` and ranges into something else.
func scaleDuration(text string, factor float64) (string, error) {
	duration, err := model.ParseDuration(text)
	if err != nil {
		return "", err
	}
	scaled := time.Duration(float64(duration) / factor).Round(time.Millisecond)
	if duration > 0 && scaled < time.Second {
		scaled = time.Second
	}
	return model.Duration(scaled).String(), nil
}
