package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// families is what an exporter publishes, by name.
type families map[string]*dto.MetricFamily

// scrape adds what is published at a URL.
func (f families) scrape(t *testing.T, address string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	for name, family := range parsed {
		if known, ok := f[name]; ok {
			known.Metric = append(known.Metric, family.Metric...)
		} else {
			f[name] = family
		}
	}
}

// held compares a file of alerts/catalogue with them: all of it has to be there. Labels in added come from Prometheus.
func (f families) held(t *testing.T, file string, added ...string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(testenv.Root(t), "alerts", "catalogue", file))
	if err != nil {
		t.Fatal(err)
	}
	var catalogue struct {
		Metrics []struct {
			Name, Type string
			Labels     []string
			Values     map[string][]string
		}
	}
	if err := yaml.Unmarshal(content, &catalogue); err != nil {
		t.Fatal(err)
	}
	for _, m := range catalogue.Metrics {
		family, ok := f[m.Name]
		if !ok {
			t.Errorf("%s: %s is not published", file, m.Name)
			continue
		}
		if kind := strings.ToLower(family.GetType().String()); kind != m.Type && kind != "untyped" {
			t.Errorf("%s: %s is a %s", file, m.Name, kind)
		}
		want := slices.DeleteFunc(slices.Clone(m.Labels), func(name string) bool { return slices.Contains(added, name) })
		slices.Sort(want)
		for _, metric := range family.Metric {
			var names []string
			for _, pair := range metric.Label {
				names = append(names, pair.GetName())
				if values, closed := m.Values[pair.GetName()]; closed && !slices.Contains(values, pair.GetValue()) {
					t.Errorf("%s: %s has %s=%q, which is not in %v", file, m.Name, pair.GetName(), pair.GetValue(), values)
				}
			}
			slices.Sort(names)
			if !slices.Equal(names, want) {
				t.Fatalf("%s: %s has the labels %v, not %v", file, m.Name, names, want)
			}
		}
	}
}

// TestCatalogueNode holds what the rules take for granted about node_exporter against the real one.
func TestCatalogueNode(t *testing.T) {
	t.Parallel()
	published := families{}
	published.scrape(t, "http://"+testenv.StartSocketExporter(t, nil, "prometheus-node-exporter").Address+"/metrics")
	// ZFS from a prepared /proc: the module need not be loaded here.
	withZFS := testenv.StartSocketExporter(t, nil, "prometheus-node-exporter",
		"--path.procfs="+newHostProc(t).dir, "--collector.disable-defaults", "--collector.zfs")
	published.scrape(t, "http://"+withZFS.Address+"/metrics")
	published.held(t, "node_exporter.yml")
}

// TestCatalogueBlackbox probes once with each shipped module, and by TLS.
func TestCatalogueBlackbox(t *testing.T) {
	t.Parallel()
	testenv.NeedRoot(t) // for ICMP
	shipped, err := os.ReadFile(filepath.Join(testenv.Root(t), "deploy", "prometheus", "blackbox.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "blackbox.yml")
	const unverified = "\n  https: {prober: http, http: {preferred_ip_protocol: ip4, tls_config: {insecure_skip_verify: true}}}\n"
	if err := os.WriteFile(config, append(shipped, unverified...), 0o600); err != nil {
		t.Fatal(err)
	}
	blackbox := testenv.StartSocketExporter(t, nil, "prometheus-blackbox-exporter",
		"--config.file="+config, "--web.external-url=http://localhost/")
	site := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(site.Close)
	page := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(page.Close)
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(locked.Close)
	published := families{}
	for module, target := range map[string]string{
		"icmp": "127.0.0.1", "http": page.URL, "http_401": locked.URL, "tcp": strings.TrimPrefix(page.URL, "http://"),
		"dns": testenv.StartUnbound(t, "").Address, "https": site.URL,
	} {
		probe := families{}
		probe.scrape(t, fmt.Sprintf("http://%s/probe?module=%s&target=%s", blackbox.Address, module, url.QueryEscape(target)))
		if succeeded := probe["probe_success"].GetMetric(); module != "https" && (len(succeeded) != 1 || succeeded[0].GetGauge().GetValue() != 1) {
			t.Errorf("module %s: %v", module, succeeded)
		}
		for name, family := range probe {
			if known, ok := published[name]; ok {
				known.Metric = append(known.Metric, family.Metric...)
			} else {
				published[name] = family
			}
		}
	}
	published.held(t, "blackbox_exporter.yml", "service")
}
