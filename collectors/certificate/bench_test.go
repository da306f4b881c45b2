package certificate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// makeFiles makes n pairs of a certificate and its key, with the authority beside them.
func makeFiles(b *testing.B, n int) (dir, config string) {
	b.Helper()
	dir = b.TempDir()
	root := zoo.Root(b, "Root")
	ca := root.Authority(b, "CA")
	for i := range n {
		leaf := ca.Issue(b, fmt.Sprintf("host-%05d.vulcan.lan", i))
		name := fmt.Sprintf("certs/host-%05d", i)
		zoo.Write(b, dir, name+".crt", zoo.PEM(leaf))
		zoo.Write(b, dir, name+".key", leaf.KeyPEM(b))
	}
	config = fmt.Sprintf("files: [{type: nginx, paths: ['%s/certs/*.crt']}]\nroots: [%s]\nintermediates: [%s]",
		dir, zoo.Write(b, dir, "root.pem", zoo.PEM(root)), zoo.Write(b, dir, "ca.pem", zoo.PEM(ca)))
	// Files are trusted not to change unseen only some time after they were written.
	time.Sleep(4 * time.Second)
	return dir, config
}

// openSSLLoop is what a script does for one file: dates, both public keys, the chain.
const openSSLLoop = `cd "$1"; for f in $(ls certs/*.crt | head -n "$2"); do
openssl x509 -in $f -noout -startdate -enddate -subject -issuer -serial
openssl x509 -in $f -noout -pubkey; openssl pkey -in ${f%.crt}.key -pubout
openssl verify -CAfile root.pem -untrusted ca.pem $f; done >/dev/null`

// BenchmarkPass compares passes over files that did not change, and the first one, with a loop of
// openssl over the same files (100 of them, scaled), keys and chains checked by both. CPU is user
// and system time of this process, or of the script and its children.
func BenchmarkPass(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			testenv.Need(b, "openssl")
			dir, config := makeFiles(b, n)
			const sample = 100
			before := cpu(b, syscall.RUSAGE_CHILDREN)
			if out, err := exec.Command("sh", "-c", openSSLLoop, "sh", dir, strconv.Itoa(sample)).CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			shell := float64(cpu(b, syscall.RUSAGE_CHILDREN)-before) / sample * float64(n)

			s := collectortest.Load(b, Definition(), config)[0]
			env := collectortest.Env(b)
			env.Now = time.Now
			c, err := s.New(env)
			if err != nil {
				b.Fatal(err)
			}
			before = cpu(b, syscall.RUSAGE_SELF)
			out := s.Batch()
			if err := c.Collect(b.Context(), out); err != nil || out.Series() < 5*n {
				b.Fatal(out.Series(), err)
			}
			first := float64(cpu(b, syscall.RUSAGE_SELF) - before)
			before = cpu(b, syscall.RUSAGE_SELF)
			passes := 0
			for b.Loop() {
				if err := c.Collect(b.Context(), s.Batch()); !errors.Is(err, collector.ErrUnchanged) {
					b.Fatal(err)
				}
				passes++
			}
			each := float64(cpu(b, syscall.RUSAGE_SELF)-before) / float64(passes)
			b.ReportMetric(each/1e6, "cpu-ms/pass")
			b.ReportMetric(first/1e6, "cpu-ms/first-pass")
			b.ReportMetric(shell/1e6, "openssl-cpu-ms")
			b.ReportMetric(shell/each, "openssl/ours")
			b.ReportMetric(shell/first, "openssl/first-pass")
		})
	}
}

// BenchmarkScrape runs the exporter with 10,000 files, scrapes it as Prometheus does, and reports
// the CPU of a scrape and the memory.
func BenchmarkScrape(b *testing.B) {
	const n = 10_000
	_, config := makeFiles(b, n)
	dir := b.TempDir()
	binary := testenv.Exporter(b)
	path := zoo.Write(b, dir, "vulcan.yml", []byte("certificate:\n  interval: 5s\n  "+strings.ReplaceAll(config, "\n", "\n  ")+"\n"))
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	p := testenv.Start(b, exec.Command(binary, "run", "--config.file="+path, "--storage.path="+dir, "--web.listen-address="+address))
	testenv.Eventually(b, 2*time.Minute, func() error {
		if err := p.Exited(); err != nil {
			b.Fatal(err)
		}
		text, err := scrape(b.Context(), address)
		if err == nil && strings.Count(text, "\ncertificate_not_after_timestamp_seconds{") < n {
			err = errors.New("not collected yet")
		}
		return err
	})
	before, scrapes := processCPU(b, p.PID), 0
	for b.Loop() {
		if _, err := scrape(b.Context(), address); err != nil {
			b.Fatal(err)
		}
		scrapes++
	}
	b.ReportMetric(float64(processCPU(b, p.PID)-before)/1e6/float64(scrapes), "cpu-ms/scrape")
	b.ReportMetric(memory(b, p.PID, "VmRSS"), "rss-MB")
	b.ReportMetric(memory(b, p.PID, "VmHWM"), "peak-rss-MB")
}

func scrape(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return string(content), err
}

func cpu(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processCPU is user and system time of a process (proc(5), fields 14 and 15 in 1/100 s).
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is a line of /proc/PID/status in MB.
func memory(b *testing.B, pid int, key string) float64 {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), key+":")
	fields := strings.Fields(rest)
	kb, err := strconv.Atoi(fields[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kb) / 1000
}
