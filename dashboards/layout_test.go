package dashboards

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	columns   = 24
	mostOf    = 25 // panels of a dashboard
	longest   = 46 // characters of a title; Grafana's panel shows 6 for each column on a screen of 1440
	farthest  = 5  // height of a first row that is read from three metres: values fill a panel as low as this
	mostNames = 10 // lines with a legend of their own that a panel of 8 rows can name
)

// TestLayout checks each dashboard as a person would look at it.
func TestLayout(t *testing.T) {
	all, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		for _, problem := range layout(d) {
			t.Errorf("%s: %s", d.File, problem)
		}
	}
	unique(t, all)
}

func unique(t *testing.T, all []Dashboard) {
	seen := map[string]string{}
	for _, d := range all {
		for _, key := range []string{"uid " + d.UID, "title " + d.Title} {
			if seen[key] != "" {
				t.Errorf("%s and %s have the same %s", seen[key], d.File, key)
			}
			seen[key] = d.File
		}
		if d.UID != "vulcan-"+strings.TrimSuffix(d.File, ".json") {
			t.Errorf("%s: uid %q is not that of the file", d.File, d.UID)
		}
	}
}

// layout returns what is wrong.
func layout(d Dashboard) []string {
	problems := grid(d)
	count := 0
	titles := map[string]bool{}
	for _, p := range d.Panels {
		if titles[p.Title] {
			problems = append(problems, fmt.Sprintf("two panels ask %q", p.Title))
		}
		titles[p.Title] = true
		if p.Type != "row" {
			count++
			problems = append(problems, looks(p)...)
		}
	}
	if count > mostOf {
		problems = append(problems, fmt.Sprintf("%d panels, more than %d", count, mostOf))
	}
	return append(problems, firstRow(d)...)
}

// grid finds overlaps and gaps: each cell down to the last panel belongs to exactly one.
func grid(d Dashboard) []string {
	var problems []string
	cells := map[[2]int]string{}
	bottom := 0
	for _, p := range d.Panels {
		pos := p.GridPos
		if pos.W < 1 || pos.H < 1 || pos.X < 0 || pos.X+pos.W > columns {
			problems = append(problems, fmt.Sprintf("%q is outside of the grid", p.Title))
			continue
		}
		bottom = max(bottom, pos.Y+pos.H)
		for x := pos.X; x < pos.X+pos.W; x++ {
			for y := pos.Y; y < pos.Y+pos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken && other != p.Title {
					problems = append(problems, fmt.Sprintf("%q overlaps %q", p.Title, other))
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
	if missing := bottom*columns - len(cells); missing > 0 {
		problems = append(problems, fmt.Sprintf("gaps of %d cells", missing))
	}
	return dedup(problems)
}

func dedup(problems []string) []string {
	var result []string
	seen := map[string]bool{}
	for _, p := range problems {
		if !seen[p] {
			result = append(result, p)
		}
		seen[p] = true
	}
	return result
}

// looks checks one panel.
func looks(p Panel) []string {
	var problems []string
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%q: ", p.Title)+fmt.Sprintf(format, args...))
	}
	if !strings.HasSuffix(p.Title, "?") {
		wrong("the title is no question")
	}
	if n := utf8.RuneCountInString(p.Title); n > longest || n > 6*p.GridPos.W-1 {
		wrong("the title has %d characters, the panel %d columns", n, p.GridPos.W)
	}
	if !strings.HasSuffix(p.Description, ".") {
		wrong("the description %q is no sentence", p.Description)
	}
	if p.FieldConfig.Defaults.Unit == "" {
		wrong("no unit")
	}
	problems = append(problems, names(p)...)
	legend := p.Options.Legend
	if legend.ShowLegend && (legend.Placement != "bottom" || legend.DisplayMode != "list") {
		wrong("the legend takes room from the graph")
	}
	if p.Type == "timeseries" || p.Type == "state-timeline" {
		for _, target := range p.Targets {
			if target.LegendFormat == "" || strings.Count(target.LegendFormat, "{{") > 3 {
				wrong("legend %q is none or too long", target.LegendFormat)
			}
		}
		if p.GridPos.W < 8 || p.GridPos.H < 6 {
			wrong("%dx%d is too small for a graph", p.GridPos.W, p.GridPos.H)
		}
	}
	if len(p.Targets) > mostNames && p.Type == "timeseries" {
		wrong("%d queries", len(p.Targets))
	}
	return problems
}

// names finds columns of a table with one name: what is set for one would hold for both.
func names(p Panel) []string {
	seen := map[string]bool{}
	for _, transformation := range p.Transformations {
		if n := len(transformation.Options.RenameByName); 100*n > 58*p.GridPos.W {
			return []string{fmt.Sprintf("%q: %d columns of 100 pixels do not fit", p.Title, n)}
		}
		for _, name := range transformation.Options.RenameByName {
			if seen[name] {
				return []string{fmt.Sprintf("%q: two columns are named %q", p.Title, name)}
			}
			seen[name] = true
		}
	}
	return nil
}

// firstRow: large numbers, of which the first two say whether all is right, and since when.
func firstRow(d Dashboard) []string {
	var problems []string
	var row []Panel
	for _, p := range d.Panels {
		if p.GridPos.Y == 0 {
			row = append(row, p)
		}
	}
	if len(row) < 3 || row[0].Title != "All right?" || row[1].Title != "Since when?" {
		return []string{"the first row does not begin with: All right? Since when?"}
	}
	for _, p := range row {
		if p.Type != "stat" || p.GridPos.H > farthest || p.GridPos.W < 4 || len(p.Targets) != 1 {
			problems = append(problems, fmt.Sprintf("%q cannot be read from three metres", p.Title))
		}
	}
	return problems
}

// TestLayoutFinds shows that each fault is found.
func TestLayoutFinds(t *testing.T) {
	all, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Dashboard){
		"gaps":           func(d *Dashboard) { d.Panels[len(d.Panels)-1].GridPos.W-- },
		"overlaps":       func(d *Dashboard) { d.Panels[4].GridPos.X-- },
		"outside":        func(d *Dashboard) { d.Panels[4].GridPos.X += 9 },
		"is no question": func(d *Dashboard) { d.Panels[2].Title = "Backups." },
		"characters":     func(d *Dashboard) { d.Panels[2].Title = strings.Repeat("x", 60) + "?" },
		"no unit":        func(d *Dashboard) { d.Panels[2].FieldConfig.Defaults.Unit = "" },
		"is no sentence": func(d *Dashboard) { d.Panels[2].Description = "" },
		"three metres":   func(d *Dashboard) { d.Panels[2].Type = "timeseries" },
		"does not begin": func(d *Dashboard) { d.Panels[0].Title = "What?" },
		"more than":      func(d *Dashboard) { d.Panels = append(d.Panels, d.Panels...); d.Panels = append(d.Panels, d.Panels...) },
		"two panels ask": func(d *Dashboard) { d.Panels[3].Title = d.Panels[2].Title },
		"takes room": func(d *Dashboard) {
			p := &d.Panels[2]
			p.Options.Legend.ShowLegend = true
			p.Options.Legend.Placement = "right"
		},
		"is none or too": func(d *Dashboard) { p := &d.Panels[2]; p.Type = "timeseries"; p.Targets[0].LegendFormat = "" },
		"do not fit": func(d *Dashboard) {
			for i := range d.Panels {
				if len(d.Panels[i].Transformations) > 0 {
					d.Panels[i].GridPos.W = 4
				}
			}
		},
		"two columns are": func(d *Dashboard) {
			for i := range d.Panels {
				if len(d.Panels[i].Transformations) > 0 {
					t := append([]Transformation{}, d.Panels[i].Transformations...)
					t[0].Options.RenameByName = map[string]string{"a": "x", "b": "x"}
					d.Panels[i].Transformations = t
				}
			}
		},
		"too small for a": func(d *Dashboard) { d.Panels[2].Type = "timeseries" },
	} {
		d := all[0]
		d.Panels = append([]Panel{}, d.Panels...)
		for i := range d.Panels {
			d.Panels[i].Targets = append([]Target{}, d.Panels[i].Targets...)
		}
		spoil(&d)
		if got := strings.Join(layout(d), "\n"); !strings.Contains(got, name) {
			t.Errorf("%s not found in %q", name, got)
		}
	}
}
