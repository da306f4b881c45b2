package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// proof is one line that a passed test leaves for docs/proof.md: an alert that a fault made fire
// and whose message was delivered. See test/mutate/proof.
type proof struct {
	Alert string `json:"alert"`
	Test  string `json:"test"`
	// Fake names the software that the test played itself; empty: all of it was real.
	Fake string `json:"fake,omitempty"`
	// Resolved is whether the fault was mended too and that was delivered.
	Resolved bool `json:"resolved"`
	// Rules is the SHA-256 of each shipped rule file that was loaded, by its name.
	Rules map[string]string `json:"rules"`
}

// recordProof appends what this chain has proven to $VULCAN_PROOF_DIR/e2e.jsonl, if that is set,
// and nothing if the test failed.
func (h *Harness) recordProof() {
	dir := os.Getenv("VULCAN_PROOF_DIR")
	if dir == "" || h.t.Failed() {
		return
	}
	rules := map[string]string{}
	for _, name := range h.options.Rules {
		shipped, err := os.ReadFile(filepath.Join(testenv.Root(h.t), "alerts", name+".yml"))
		if err != nil {
			h.t.Error(err)
			return
		}
		sum := sha256.Sum256(shipped)
		rules[name] = hex.EncodeToString(sum[:])
	}
	var lines []byte
	for _, name := range h.fired {
		line, err := json.Marshal(proof{
			Alert: name, Test: h.t.Name(), Fake: h.fake(name),
			Resolved: slices.Contains(h.resolved, name), Rules: rules,
		})
		if err != nil {
			h.t.Error(err)
			return
		}
		lines = append(append(lines, line...), '\n')
	}
	// One write: tests that run side by side append to the same file.
	file, err := os.OpenFile(filepath.Join(dir, "e2e.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.Write(lines)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		h.t.Error(err)
	}
}

// fake names the made-up software behind an alert.
func (h *Harness) fake(alert string) string {
	for prefix, software := range h.options.Fakes {
		if strings.HasPrefix(alert, prefix) {
			return software
		}
	}
	return ""
}

func addOnce(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
