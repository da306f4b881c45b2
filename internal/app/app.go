// Package app is the command line of the exporter.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/docs"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// App is the exporter as main wires it.
type App struct {
	Definitions []*collector.Definition
	// DefaultConfig is used where no --config.file is given.
	DefaultConfig []byte
	// Alerts are the shipped rules (*.yml) and runbooks (runbooks/*.md).
	Alerts fs.FS
	Stdout io.Writer
	Stderr io.Writer

	configFile, storagePath string
	logLevel, logFormat     string
	web                     webFlags
	target                  string
	json, runbooks          bool
	old                     migrateFlags
}

// Main runs the command that args name and returns the process' exit status:
// 0, 1 for a failure, 2 for wrong arguments.
func (a *App) Main(args []string) int {
	cli := kingpin.New("vulcan_exporter", "Prometheus exporter for a self-hosted server that shows nothing it did not measure.")
	printed := false // by --help or --version, after which Parse goes on
	cli.Version(version.Print("vulcan_exporter")).UsageWriter(a.Stdout).ErrorWriter(a.Stderr).Terminate(func(int) { printed = true })
	commands := a.flags(cli)
	if !slices.Contains(args, "--completion-bash") { // kingpin would take half a command for an argument of run
		cli.GetCommand("run").Default()
	}
	name, err := cli.Parse(args)
	if printed {
		return 0
	}
	if err != nil {
		fmt.Fprintf(a.Stderr, "vulcan_exporter: %v; try --help\n", err)
		return 2
	}
	if name != "run" {
		asService()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends even a command that hangs
	defer stop()
	err = commands[name](ctx)
	var faults config.Errors
	switch {
	case errors.As(err, &faults):
		fmt.Fprintln(a.Stderr, err) // lines of file:line:column, for editors to follow
		return 1
	case err != nil:
		fmt.Fprintf(a.Stderr, "vulcan_exporter: %v\n", err)
		return 1
	}
	return 0
}

func (a *App) flags(cli *kingpin.Application) map[string]func(context.Context) error {
	cli.Flag("config.file", "Configuration file; without one an embedded default observes this machine.").StringVar(&a.configFile)
	cli.Flag("storage.path", "Folder for state that outlives the process.").Default(defaultStorage()).StringVar(&a.storagePath)
	cli.Flag("log.level", "Least severe level that is logged.").Default("info").EnumVar(&a.logLevel, "debug", "info", "warn", "error")
	cli.Flag("log.format", "Form of log lines.").Default("logfmt").EnumVar(&a.logFormat, "logfmt", "json")
	a.web.add(cli)
	cli.Command("run", "Run the exporter (the default).")
	check := cli.Command("check", "Check a configuration file and say all that is wrong with it.")
	check.Arg("config", "The file.").Required().StringVar(&a.target)
	collect := cli.Command("collect", "Run a collector, or one source as collector/source, once and print its metrics. Writes no state.")
	collect.Arg("name", "The collector or source.").Required().StringVar(&a.target)
	doc := cli.Command("docs", "Print the reference of all collectors, or write a page for each into a folder.")
	doc.Flag("json", "Print the metrics as JSON.").BoolVar(&a.json)
	doc.Flag("runbooks", "Print all runbooks of the alerts as one page.").BoolVar(&a.runbooks)
	doc.Arg("folder", "The folder.").StringVar(&a.target)
	a.old.add(cli)
	cli.Command("version", "Print the version.")
	return map[string]func(context.Context) error{
		"run":     a.run,
		"check":   a.check,
		"collect": a.collect,
		"docs":    a.docs,
		"migrate": a.migrate,
		"version": func(context.Context) error {
			_, err := fmt.Fprintln(a.Stdout, version.Print("vulcan_exporter"))
			return err
		},
	}
}

// asService gives a command that a person runs what systemd gives the service
// (deploy/systemd): a configuration may name it, and is not wrong for it.
func asService() {
	for name, value := range map[string]string{
		"CREDENTIALS_DIRECTORY": "/run/credentials/vulcan-exporter.service",
		"CACHE_DIRECTORY":       "/var/cache/vulcan_exporter",
		"STATE_DIRECTORY":       "/var/lib/vulcan_exporter",
	} {
		if os.Getenv(name) == "" {
			_ = os.Setenv(name, value) // fails for names that no system takes
		}
	}
}

// defaultStorage is systemd's StateDirectory= of the unit, else the usual place.
func defaultStorage() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return filepath.SplitList(dir)[0]
	}
	return "/var/lib/vulcan_exporter"
}

func (a *App) load() ([]collector.Source, error) {
	if a.configFile == "" {
		return collector.Load("default config", a.DefaultConfig, a.Definitions)
	}
	return collector.LoadFile(a.configFile, a.Definitions)
}

func (a *App) deps(logger *slog.Logger, dir *state.Dir) runner.Deps {
	return runner.Deps{
		Logger: logger, Now: time.Now, Exec: command.Exec{},
		Systemd: systemd.NewHub(logger), State: dir,
	}
}

func (a *App) check(context.Context) error {
	sources, err := collector.LoadFile(a.target, a.Definitions)
	if err != nil {
		return err
	}
	for _, s := range sources {
		fmt.Fprintln(a.Stdout, s.ID())
	}
	fmt.Fprintf(a.Stdout, "%s: %d sources, no errors\n", a.target, len(sources))
	return nil
}

func (a *App) collect(ctx context.Context) error {
	sources, err := a.load()
	if err != nil {
		return err
	}
	logger := newLogger(a.Stderr, a.logLevel, a.logFormat)
	deps := a.deps(logger, state.ReadOnly(a.storagePath, logger))
	defer deps.Systemd.Close()
	found := false
	var errs []error
	for _, s := range sources {
		if s.ID() != a.target && s.Definition.Name != a.target {
			continue
		}
		found = true
		if err := runner.Once(ctx, s, deps, a.Stdout); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.ID(), err))
		}
	}
	if !found {
		return fmt.Errorf("%q is not configured; vulcan_exporter check lists what is", a.target)
	}
	return errors.Join(errs...)
}

func (a *App) docs(context.Context) error {
	pages := docs.Pages(a.Definitions)
	switch {
	case a.runbooks:
		page, err := docs.Runbooks(a.Alerts)
		if err == nil {
			_, err = fmt.Fprint(a.Stdout, page)
		}
		return err
	case a.json:
		return docs.JSON(a.Stdout, a.Definitions)
	case a.target == "":
		for _, p := range pages {
			fmt.Fprintln(a.Stdout, p.Markdown)
		}
		return nil
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(a.target, p.Name+".md"), []byte(p.Markdown), 0o644); err != nil {
			return err
		}
	}
	return nil
}
