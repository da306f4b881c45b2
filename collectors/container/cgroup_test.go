package container

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

const id = "594f0a"

// groups are layouts as Podman 4 (cgroupfs and systemd managers) and Docker 20 make them; the files are
// written by hand, for no container here has a control group of version 2 with a memory controller.
func groups(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for path, content := range map[string]string{
		"proc/7/cgroup": "9:name=systemd:/x\n0::/system.slice/docker-" + id + ".scope\n",
		"proc/8/cgroup": "0::/system.slice/sshd.service\n", // the PID belongs to another by now
		"sys/fs/cgroup/system.slice/docker-" + id + ".scope/cpu.stat":                  "usage_usec 1500000\nuser_usec 1\n",
		"sys/fs/cgroup/system.slice/docker-" + id + ".scope/memory.current":            "4096\n",
		"sys/fs/cgroup/system.slice/sshd.service/cpu.stat":                             "usage_usec 9\n",
		"sys/fs/cgroup/machine.slice/libpod-" + id + ".scope/cpu.stat":                 "usage_usec 2500000\n",
		"sys/fs/cgroup/machine.slice/libpod-" + id + ".scope/memory.current":           "8192\n",
		"sys/fs/cgroup/machine.slice/libpod-" + id + ".scope/container/memory.current": "1\n",
		"sys/fs/cgroup/bad/" + id + "/cpu.stat":                                        "nothing\n",
		"sys/fs/cgroup/bad/" + id + "/memory.current":                                  "max\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// inspectedAs is a run over one running container with these groups and this state.
func inspectedAs(t *testing.T, root, state string) *metric.Batch {
	t.Helper()
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1.40/containers/json":
			_, _ = io.WriteString(w, `[{"Id":"`+id+`","Names":["/a"],"State":"running"}]`)
		case "/v1.40/containers/" + id + "/json":
			_, _ = io.WriteString(w, `{"State":{"Running":true,`+state+`}}`)
		}
	})
	made, err := open(Config{Socket: socket}, collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	made.(*engine).root = root
	return runOnce(t, made)
}

func TestUsage(t *testing.T) {
	root := groups(t)
	for _, c := range []struct{ name, state, cpu, memory string }{
		{"docker", `"Pid":7`, "1.5", "4096"},
		{"podman", `"Pid":7,"CgroupPath":"/machine.slice/libpod-` + id + `.scope/container"`, "2.5", "8192"},
		{"another's PID", `"Pid":8`, "", ""},
		{"PID gone", `"Pid":9`, "", ""},
		{"no group", `"Pid":0`, "", ""},
		{"garbage", `"CgroupPath":"/bad/` + id + `"`, "", ""},
		{"outside", `"CgroupPath":"/../` + id + `"`, "", ""},
		{"stopped", `"Running":false,"Pid":7`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := collectortest.Text(t, inspectedAs(t, root, c.state))
			for name, want := range map[string]string{"container_cpu_seconds_total": c.cpu, "container_memory_current_bytes": c.memory} {
				switch {
				case want == "" && strings.Contains(text, name):
					t.Errorf("%s is shown:\n%s", name, text)
				case want != "":
					if err := has(text, name+`{name="a"} `+want); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

func runOnce(t testing.TB, c collector.Collector) *metric.Batch {
	t.Helper()
	out := metric.NewBatch(declared, "source", "s", 0)
	if err := c.Collect(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return out
}
