package runbook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// misuse is what programs say of arguments that they do not know. That a file, a unit or a server
// is not there is no misuse: the runbooks name what the reader has to put in.
var misuse = regexp.MustCompile(`(?i)unrecognized option|(invalid|unknown|illegal) (option|flag|argument|command|operation|action|shorthand|long flag|short flag)|` +
	`unexpected|expected command|too (many|few) arguments|command not found|failed to run command|syntax error|usage:|not a valid`)

// absent are programs that Debian's main archive does not have, or that come with the server that
// they ask.
var absent = regexp.MustCompile(`(zpool|zfs|sanoid|php)\W+(command not found|No such file)`)

// TestUsage runs the commands of each diagnosis, without a network and among no other processes, and
// looks for complaints about how they are called. Diagnosis only looks; what mends is only parsed.
func TestUsage(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.Need(t, "unshare", "bash", "chronyc", "curl", "dig", "doveconf", "ethtool", "iostat", "jq", "journalctl", "lsmod", "lsof", "mbsync", "mtail",
		"mtr", "nginx", "openssl", "pg_lsclusters", "ping", "podman", "psql", "qshape", "redis-cli", "restic", "smartctl", "ss", "sudo", "zstd")
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin:" + filepath.Dir(testenv.Tool(t, "promtool")) + ":" + filepath.Dir(testenv.Exporter(t))
	for _, b := range blocks(t) {
		t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
			t.Parallel()
			args := []string{"-nc", b.text}
			if b.section == "Diagnosis" {
				args = []string{"-c", strings.NewReplacer("2>/dev/null", "", "PID", "1").Replace(b.text)}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "unshare", append([]string{"--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"}, args...)...)
			cmd.Dir = t.TempDir()
			cmd.Env = []string{"LC_ALL=C", "PATH=" + path, "HOME=" + cmd.Dir}
			var complaints bytes.Buffer
			cmd.Stderr, cmd.WaitDelay = &complaints, 5*time.Second
			if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			if ctx.Err() != nil {
				t.Errorf("does not end:\n%s", b.text)
			}
			for line := range strings.Lines(complaints.String()) {
				if misuse.MatchString(line) && !absent.MatchString(line) {
					t.Errorf("%sof\n%s", line, b.text)
				}
			}
		})
	}
}

// TestUsageIsNoticed: options, verbs and programs that do not exist.
func TestUsageIsNoticed(t *testing.T) {
	for _, text := range []string{"ls --time-sort .", "systemctl show-all", "journalctl --units x", "nosuchprogram", "if", "df --nosuch"} {
		var complaints bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "bash", "-c", text)
		cmd.Stderr = &complaints
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		if err := cmd.Run(); err == nil || !misuse.MatchString(complaints.String()) {
			t.Errorf("%s: %v, %s", text, err, complaints.String())
		}
	}
}

// TestPostgres runs the statements on a real server with the tables of LiteLLM.
func TestPostgres(t *testing.T) {
	testenv.Need(t, "psql")
	p := testenv.StartPostgres(t)
	litellmtest.Create(t, p, litellmtest.Current)
	p.Exec(t, "postgres", "CREATE DATABASE homeassistant", `CREATE DATABASE "DATABASE"`, "CREATE ROLE vulcan_exporter")
	ran := 0
	for _, c := range commands(t) {
		text := strings.TrimPrefix(c.text, "sudo -u postgres ")
		if !strings.HasPrefix(text, "psql ") {
			continue
		}
		ran++
		cmd := exec.CommandContext(t.Context(), "bash", "-c", text)
		cmd.Env = append(os.Environ(), "PGHOST="+p.Dir, fmt.Sprintf("PGPORT=%d", p.Port), "PGUSER=postgres", "PAGER=cat")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s:%d: %v\n%s", c.file, c.line, err, out)
		}
	}
	if ran < 10 {
		t.Errorf("only %d statements: are they still called psql?", ran)
	}
}

// TestRedis runs the commands on a real server.
func TestRedis(t *testing.T) {
	testenv.Need(t, "redis-cli")
	r := testenv.StartRedis(t)
	ran := 0
	for _, c := range commands(t) {
		if !strings.HasPrefix(c.text, "redis-cli ") {
			continue
		}
		ran++
		text := strings.NewReplacer("-h HOST -p PORT ", "", "-s SOCKET ", "").Replace(strings.TrimPrefix(c.text, "redis-cli "))
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "redis-cli -s '"+r.Socket+"' "+text).CombinedOutput()
		if err != nil || bytes.HasPrefix(out, []byte("ERR")) || len(bytes.TrimSpace(out)) == 0 && !strings.HasPrefix(text, "get ") {
			t.Errorf("%s:%d: %v\n%s", c.file, c.line, err, out)
		}
	}
	if ran < 5 {
		t.Errorf("only %d commands: are they still called redis-cli?", ran)
	}
}
