package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// A real Podman whose containers stop, loop and fall ill, and whose service ends: the alert of
// each fault, and no other.
func TestContainers(t *testing.T) {
	t.Parallel()
	p := testenv.StartPodman(t)
	forever := []string{"/bin/sleep", "100000"}
	p.Run(t, "web", forever, nil)
	p.Run(t, "job", []string{"/bin/true"}, nil)
	h := New(t, Options{
		Rules: []string{"container_alerts", "exporter"},
		Config: fmt.Sprintf("\ncontainer:\n  interval: 1s\n  timeout: 5s\n  sources: [{name: system, socket: %s, expected: [web]}]\n",
			p.Socket),
	})
	h.ExactlyFiring()
	alert := func(alert, container string) Alert {
		return Alert{alert, map[string]string{"name": container, "source": "system"}}
	}
	wait := func(a Alert) { t.Helper(); h.WaitFiring(a.Name, a.Labels) }
	ended := func(a Alert) { t.Helper(); h.WaitResolved(a.Name, a.Labels) }

	down := alert("ContainerDown", "web")
	p.Remove(t, "web") // what the engine does not know is down as well
	wait(down)
	h.ExactlyFiring(down)

	loop := alert("ContainerRestartLoop", "loop")
	p.Run(t, "loop", []string{"/bin/false"}, map[string]any{"restart_policy": "always"})
	wait(loop)

	ill := alert("ContainerUnhealthy", "sick")
	p.Run(t, "sick", forever, map[string]any{"healthconfig": map[string]any{
		"Test": []string{"CMD", "/bin/false"}, "Retries": 1, "Interval": time.Hour, "Timeout": time.Minute,
	}})
	p.Call(t, http.MethodGet, "/containers/sick/healthcheck", nil)
	wait(ill)
	h.ExactlyFiring(down, loop, ill)

	p.Run(t, "web", forever, nil)
	ended(down)
	p.Remove(t, "loop")
	p.Remove(t, "sick")
	ended(loop)
	ended(ill)
	h.ExactlyFiring()

	p.Stop(t)
	blind := Alert{"ContainerEngineDown", map[string]string{"source": "system"}}
	wait(blind)
	h.ExactlyFiring(blind)
	p.Start(t)
	p.Call(t, http.MethodPost, "/containers/web/start", nil)
	ended(blind)
	h.ExactlyFiring()
	h.ExactlyFired(down, loop, ill, blind)
}
