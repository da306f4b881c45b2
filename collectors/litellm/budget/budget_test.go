package budget

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// The reading of the tables is tested with the whole collector; here what is made of it.

var now = time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)

func at(days float64) *time.Time {
	t := now.Add(time.Duration(days * 24 * float64(time.Hour)))
	return &t
}

func TestProject(t *testing.T) {
	for _, c := range []struct {
		budget Budget
		want   float64 // negative: not known
	}{
		{Budget{Spend: 10, Duration: "30d", ResetAt: at(15)}, 20},
		{Budget{Spend: 10, Duration: "24h", ResetAt: at(0.25)}, 10 / 0.75},
		{Budget{Spend: 0, Duration: "1w", ResetAt: at(1)}, 0},
		{Budget{Spend: 10, Duration: "30d", ResetAt: at(29)}, -1},   // began yesterday: too early
		{Budget{Spend: 10, Duration: "30d", ResetAt: at(-0.1)}, -1}, // the reset is due
		{Budget{Spend: 10, Duration: "30d", ResetAt: at(31)}, -1},   // has not begun
		{Budget{Spend: 10, Duration: "", ResetAt: at(1)}, -1},
		{Budget{Spend: 10, Duration: "soon", ResetAt: at(1)}, -1},
	} {
		got, ok := c.budget.project(now)
		if ok != (c.want >= 0) || ok && math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %v %v, want %v", c.budget, got, ok, c.want)
		}
	}
}

func TestBefore(t *testing.T) {
	end := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	for duration, want := range map[string]string{
		"30s": "2026-03-31T11:59:30Z", "90m": "2026-03-31T10:30:00Z", "24h": "2026-03-30T12:00:00Z",
		"7d": "2026-03-24T12:00:00Z", "1w": "2026-03-24T12:00:00Z", "1mo": "2026-03-03T12:00:00Z",
	} {
		if got, err := before(end, duration); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s %v, want %s", duration, got, err, want)
		}
	}
}

// TestMost has more budgets than series: the most spent ones are shown, all are counted.
func TestMost(t *testing.T) {
	all := []Budget{{Kind: kindTeam, Name: "t", Spend: 5, Limit: 0}}
	for i := range 10 {
		all = append(all, Budget{Kind: kindKey, Name: fmt.Sprint("k", i), Spend: float64(i), Limit: 8})
	}
	all = append(all, Budget{Kind: kindKey, Name: "k9", Spend: 1, Limit: 8}) // another key of that alias
	out := metric.NewBatch(Declared, "", "", 0)
	Emit(out, all, now, 3)
	if err := out.Err(); err != nil {
		t.Fatal(err)
	}
	text := collectortest.Text(t, out)
	for _, line := range []string{
		`litellm_budget_remaining_ratio{kind="key",name="k9"} 0`, `litellm_budget_remaining_ratio{kind="key",name="k8"} 0`,
		`litellm_budget_remaining_ratio{kind="key",name="k7"} 0.125`, `litellm_budget_remaining_ratio{kind="team",name="t"} 0`,
		`litellm_budgets{kind="key"} 11`, `litellm_budgets_exceeded{kind="key"} 2`, `litellm_budgets_exceeded{kind="team"} 1`,
		`litellm_budgets{kind="user"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if strings.Contains(text, `"k6"`) {
		t.Errorf("more than three keys in\n%s", text)
	}
}

func FuzzBefore(f *testing.F) {
	for _, s := range []string{"30d", "1mo", "", "-1h", "999999999999d", "1 d", "1e3s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, duration string) {
		if began, err := before(now, duration); err == nil && !began.Before(now) {
			t.Errorf("%q: the period ends at %s and begins at %s", duration, now, began)
		}
	})
}
