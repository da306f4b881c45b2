package collector

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

var update = flag.Bool("update", false, "rewrite the expected errors")

type services struct {
	Units   []string          `yaml:"units"`
	Exclude config.Regexp     `yaml:"exclude"`
	Labels  map[string]string `yaml:"labels"`
}

type repos struct {
	Location string          `yaml:"location"`
	MaxAge   config.Duration `yaml:"max_age"`
	Verify   bool            `yaml:"verify"`
	Keep     struct {
		Daily int `yaml:"daily"`
	} `yaml:"keep"`
	Password config.SecretFile `yaml:"password_file"`
}

func (r *repos) Validate(report func(path, format string, args ...any)) {
	if r.Keep.Daily < 0 {
		report("keep.daily", "expected 0 or more, found %d", r.Keep.Daily)
	}
	if r.Location == "" {
		report("location", "expected a repository")
	}
}

func definitions() []*Definition {
	return []*Definition{
		Define(Spec[services]{Name: "services", Timeout: time.Second}),
		Define(Spec[services]{Name: "hosts", Sources: true, Timeout: time.Second}),
		Define(Spec[repos]{Name: "repos", Sources: true, SourceLabel: "repository", Every: time.Hour, Timeout: time.Minute,
			Defaults: repos{MaxAge: config.Duration(40 * time.Hour)},
			Discover: func(cfg repos) ([]Named[repos], error) {
				if cfg.Location != "discover" {
					return nil, nil
				}
				return []Named[repos]{{"Audio", repos{Location: "/found"}}, {"Video", repos{Location: "/found"}}}, nil
			},
			Inventory: func(cfg repos, out *metric.Batch) {},
		}),
	}
}

// Each bad configuration gives exactly the recorded errors, all at once, each
// with its place.
func TestBadConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := LoadFile(file, definitions())
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"
			expected := strings.TrimSuffix(file, ".yml") + ".err"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("VULCAN_TEST_DIR", "/run/credentials")
	sources, err := Load("x.yml", []byte(`
services: {units: [a.service, "b-*.service"], exclude: "b-x.*", interval: 30s}
repos:
  interval: 2h
  max_age: 50h
  location: discover
  sources:
    - {name: Home, location: "s3:home", password_file: "${VULCAN_TEST_DIR}/home", interval: 6h}
    - {name: Audio, location: /srv/audio, max_age: 1d}
`), definitions())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sources {
		got = append(got, s.ID()+" "+s.Interval.String())
	}
	want := "services/default 30s, repos/Audio 2h0m0s, repos/Home 6h0m0s, repos/Video 2h0m0s"
	if list := strings.Join(got, ", "); list != want {
		t.Errorf("sources %s, want %s", list, want)
	}
	for i, part := range []string{"- b-*.service", "max_age: 1d", "password_file: /run/credentials/home", "location: /found"} {
		if !strings.Contains(sources[i].Canonical, part) {
			t.Errorf("%s lacks %q:\n%s", sources[i].ID(), part, sources[i].Canonical)
		}
	}
	if !strings.Contains(sources[2].Canonical, "max_age: 2d2h") {
		t.Errorf("the collector's default did not reach the source:\n%s", sources[2].Canonical)
	}
}

// A source's hash changes with its effective config and with nothing else.
func TestHash(t *testing.T) {
	hash := func(text string) string {
		sources, err := Load("x.yml", []byte(text), definitions())
		if err != nil {
			t.Fatal(err)
		}
		return sources[0].Hash()
	}
	a := hash("repos: {max_age: 2h, sources: [{name: a, location: /a}]}")
	if b := hash("repos:\n  sources:\n    - name: a # same\n      location: /a\n      max_age: 2h\n"); a != b {
		t.Errorf("equal configs hash to %s and %s", a, b)
	}
	if c := hash("repos: {max_age: 3h, sources: [{name: a, location: /a}]}"); a == c {
		t.Error("another max_age has the same hash")
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content))
	}
	f.Fuzz(func(t *testing.T, text string) {
		sources, err := Load("x.yml", []byte(text), definitions())
		if err == nil && len(sources) > 0 && sources[0].Timeout <= 0 {
			t.Error("accepted a source without a deadline")
		}
	})
}
