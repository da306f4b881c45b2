package container

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// BenchmarkPodman is a run over 200 containers of a real Podman, against the loop that scripts
// have: podman ps, and podman inspect for each. Both ask the same service through its socket.
func BenchmarkPodman(b *testing.B) {
	const many = 200
	p := testenv.StartPodman(b)
	for i := range many {
		p.Call(b, http.MethodPost, "/containers/create",
			map[string]any{"image": "localhost/busybox:test", "name": fmt.Sprintf("c%d", i), "command": []string{"/bin/true"}})
	}
	made, err := open(Config{Socket: p.Socket}, collectortest.Env(b))
	if err != nil {
		b.Fatal(err)
	}
	script := func(text string) time.Duration {
		begun := time.Now()
		out, err := exec.Command("bash", "-c", strings.ReplaceAll(text, "podman ", "podman --url unix://"+p.Socket+" ")).Output()
		if err != nil || strings.Count(string(out), "created") != many {
			b.Fatalf("%s: %s, %v", text, out, err)
		}
		return time.Since(begun)
	}
	list := script(`podman ps -a --format '{{.Names}} {{.State}}' | tr '[:upper:]' '[:lower:]'`)
	loop := script(`for c in $(podman ps -aq); do podman inspect "$c" --format '{{.State.Status}} {{.State.ExitCode}}'; done`)
	for b.Loop() {
		if text := collectortest.Text(b, runOnce(b, made)); strings.Count(text, `state="created"} 1`) != many || !strings.Contains(text, `container_unreadable{source="s"} 0`) {
			b.Fatal(text)
		}
	}
	each := float64(b.Elapsed()) / float64(b.N)
	b.ReportMetric(float64(list)/each, "podman-ps/run")
	b.ReportMetric(float64(loop)/each, "inspect-loop/run")
}
