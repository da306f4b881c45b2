package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vulcan.lan/vulcan_exporter/internal/app"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestMain makes programs of this test binary: the exporter as it ships, the
// same command line over two collectors that a test can command, and a client.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"shipped_exporter": main,
		"vulcan_exporter": func() {
			a := app.App{
				Definitions:   []*collector.Definition{probe(), thermometer()},
				DefaultConfig: []byte("thermometer: {file: default.txt}\n"),
				Stdout:        os.Stdout,
				Stderr:        os.Stderr,
			}
			os.Exit(a.Main(os.Args[1:]))
		},
		"fetch":   func() { os.Exit(fetch(os.Args[1:])) },
		"makeweb": func() { os.Exit(makeWeb()) },
	})
}

// TestScript runs testdata/script, each file a story about the command line.
// $PORT is free in each; signal NAME sends one to the program in background.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PORT", strconv.Itoa(testenv.FreePort(t)))
			env.Setenv("STATE_DIRECTORY", env.Getenv("WORK")+"/state")
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"signal": signal},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func signal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}
	running := ts.BackgroundCmds()
	if len(args) != 1 || signals[args[0]] == 0 || len(running) != 1 {
		ts.Fatalf("usage: signal HUP|TERM, with one program in background (%d are)", len(running))
	}
	ts.Check(running[0].Process.Signal(signals[args[0]]))
}

// thermometerConfig has what the command line must show: a required key and a
// range.
type thermometerConfig struct {
	File  string  `yaml:"file" doc:"file with a number"`
	Limit float64 `yaml:"limit" doc:"highest value that is believed"`
}

func (c *thermometerConfig) Validate(report func(path, format string, args ...any)) {
	if c.File == "" {
		report("file", "expected a path")
	}
	if c.Limit <= 0 {
		report("limit", "expected a number above 0, found %v", c.Limit)
	}
}

var (
	celsius    = metric.NewGauge("thermometer_celsius", "Temperature in degrees Celsius.")
	probeValue = metric.NewGauge("probe_value", "The number in the file.")
)

// thermometer reads a number from a file at each scrape.
func thermometer() *collector.Definition {
	return collector.Define(collector.Spec[thermometerConfig]{
		Name: "thermometer", Summary: "Temperature of the room.", Metrics: []metric.Metric{celsius},
		Timeout: 20 * time.Second, Defaults: thermometerConfig{Limit: 100},
		New: func(cfg thermometerConfig, env collector.Env) (collector.Collector, error) {
			return reader{cfg, celsius}, nil
		},
	})
}

// probe is the same in background and with sources.
func probe() *collector.Definition {
	return collector.Define(collector.Spec[thermometerConfig]{
		Name: "probe", Summary: "Numbers in files.", Metrics: []metric.Metric{probeValue},
		Every: time.Second, Timeout: 20 * time.Second, Sources: true, Defaults: thermometerConfig{Limit: 100},
		New: func(cfg thermometerConfig, env collector.Env) (collector.Collector, error) {
			return reader{cfg, probeValue}, nil
		},
	})
}

type reader struct {
	cfg   thermometerConfig
	gauge metric.Gauge
}

func (r reader) Collect(_ context.Context, out *metric.Batch) error {
	content, err := os.ReadFile(r.cfg.File) // of a FIFO: hangs, whatever the context says
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(string(content)), 64)
	if err == nil && v > r.cfg.Limit {
		err = fmt.Errorf("%v is above the limit of %v", v, r.cfg.Limit)
	}
	if err != nil {
		return err
	}
	out.Gauge(r.gauge, v)
	return nil
}

// fetch is a client: fetch [flags] URL [REGEXP] asks until the answer has the
// status, and matches where an expression is given, then prints it.
func fetch(args []string) int {
	var c client
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	flags.IntVar(&c.status, "status", 200, "wanted status")
	flags.StringVar(&c.method, "method", "GET", "method")
	flags.StringVar(&c.ca, "ca", "", "file of the CA")
	flags.StringVar(&c.user, "user", "", "name:password")
	if err := flags.Parse(args); err != nil || flags.NArg() < 1 {
		return 2
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		body, err := c.ask(flags.Arg(0), flags.Arg(1))
		if err == nil {
			fmt.Print(body)
			return 0
		}
		if time.Now().After(deadline) || errors.Is(err, errUsage) {
			fmt.Fprintf(os.Stderr, "fetch: %v\n%s", err, body)
			return 1
		}
		time.Sleep(30 * time.Millisecond)
	}
}
