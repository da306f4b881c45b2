package sanoid

import (
	"maps"
	"slices"
	"testing"
	"time"
)

const conf = `
# a comment
[pool/parent]
	use_template = production
	recursive = yes
	process_children_only = yes
[pool/parent/special]
	use_template = demo
	hourly = 12
[pool/backup]
	use_template = backup
[pool/ignored]
	use_template = ignore
[pool/atomic]
	use_template = production, demo
	recursive = zfs
[alias]
	path = pool/other
	daily = 0
	monthly = 0
	hourly_warn = 0
[pool/parent/skipping]
	skip_children = yes
[template_production]
	hourly = 36
	daily = 30
	monthly = 0
[template_demo]
	daily = 0
[template_backup]
	autosnap = no
	monthly = 0
	hourly_warn = 2880
	daily_warn = 48
[template_ignore]
	monitor = no
`

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }

func TestLimits(t *testing.T) {
	p, err := Parse([]byte(conf))
	if err != nil {
		t.Fatal(err)
	}
	existing := []string{
		"pool", "pool/atomic", "pool/atomic/a", "pool/backup", "pool/ignored", "pool/other",
		"pool/parent", "pool/parent/child", "pool/parent/special", "pool/parent/skipping", "pool/parent/skipping/x", "pool/parental",
	}
	production := []Limit{{"autosnap_*_hourly", 90 * time.Minute}, {"autosnap_*_daily", hours(28)}}
	want := map[string][]Limit{
		"pool/parent/child":    production,
		"pool/parent/skipping": production,
		"pool/parent/special":  production[:1],
		"pool/backup":          {{"autosnap_*_hourly", hours(48)}, {"autosnap_*_daily", hours(48)}},
		"pool/atomic":          production[:1],
		"pool/atomic/a":        production[:1],
		"pool/other":           {{"autosnap_*_hourly", hours(6)}},
	}
	got := p.Limits(existing)
	if !maps.EqualFunc(got, want, slices.Equal[[]Limit]) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if names := p.Datasets(); !slices.Equal(names, []string{"pool/atomic", "pool/backup", "pool/ignored", "pool/other", "pool/parent", "pool/parent/skipping", "pool/parent/special"}) {
		t.Errorf("datasets %v", names)
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "28h": hours(28), "32D": hours(32 * 24), "2w": hours(14 * 24), "1y": hours(365 * 24), "45s": 45 * time.Second,
		"7": hours(7), "0": 0, "": 0, "-5m": 0, "soon": 0, "1.5h": 0, "99999999999999999999": 0, "h": 0,
	} {
		if got := duration(text, time.Hour); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"hourly = 1", "[a]\nhourly", "no section\n"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(conf))
	f.Add([]byte("[a]\nrecursive=zfs\n[a/b]\nskip_children=1\nhourly_warn=9223372036854775807y\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := Parse(content)
		if err != nil {
			return
		}
		for name, limits := range p.Limits([]string{"a", "a/b", "a/b/c", "pool/parent/x"}) {
			for _, l := range limits {
				if l.MaxAge <= 0 || l.Names == "" {
					t.Errorf("%s: %+v", name, l)
				}
			}
		}
	})
}
