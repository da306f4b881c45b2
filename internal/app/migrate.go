package app

import (
	"context"
	"errors"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/migrate"
)

// migrateFlags say where the old monitoring is.
type migrateFlags struct{ textfiles, prometheus, dashboards string }

func (f *migrateFlags) add(cli *kingpin.Application) {
	cmd := cli.Command("migrate", "Say what of the old scripts' metrics the configuration covers, and what still selects their names.")
	cmd.Flag("prometheus", "URL of a Prometheus that scrapes the scripts and has their rules.").StringVar(&f.prometheus)
	cmd.Flag("dashboards", "Folder of Grafana dashboards (JSON) to look at.").StringVar(&f.dashboards)
	cmd.Arg("textfiles", "Folder of node_exporter's textfile collector; leave it out when none of the scripts' files is left.").StringVar(&f.textfiles)
}

// prometheusTimeout bounds the requests for series and rules.
const prometheusTimeout = 30 * time.Second

func (a *App) migrate(ctx context.Context) error {
	if a.old.textfiles == "" && a.old.prometheus == "" {
		return errors.New("migrate: expected the folder of textfiles, --prometheus, or best both")
	}
	sources, err := a.load()
	if err != nil {
		return err
	}
	report := migrate.NewReport(a.Stdout, sources)
	if a.old.textfiles != "" {
		report.Textfiles(a.old.textfiles)
	}
	if a.old.prometheus == "" {
		report.NotAsked()
	} else {
		client, err := httpjson.New(httpjson.Config{URL: a.old.prometheus})
		if err != nil {
			return err
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(ctx, prometheusTimeout)
		defer cancel()
		if err := report.Prometheus(ctx, client); err != nil {
			return err
		}
	}
	if a.old.dashboards != "" {
		if err := report.Dashboards(a.old.dashboards); err != nil {
			return err
		}
	}
	return report.End()
}
