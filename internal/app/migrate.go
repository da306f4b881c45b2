package app

import (
	"context"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/migrate"
)

// migrateFlags say where the old monitoring is.
type migrateFlags struct{ textfiles, prometheus, dashboards string }

func (f *migrateFlags) add(cli *kingpin.Application) {
	cmd := cli.Command("migrate", "Say what of the old scripts' metrics the configuration covers, and what still selects their names.")
	cmd.Flag("prometheus", "URL of a Prometheus whose rules are looked at.").StringVar(&f.prometheus)
	cmd.Flag("dashboards", "Folder of Grafana dashboards (JSON) to look at.").StringVar(&f.dashboards)
	cmd.Arg("textfiles", "Folder of node_exporter's textfile collector.").Required().StringVar(&f.textfiles)
}

// prometheusTimeout bounds the one request for all rules.
const prometheusTimeout = 30 * time.Second

func (a *App) migrate(ctx context.Context) error {
	sources, err := a.load()
	if err != nil {
		return err
	}
	report := migrate.NewReport(a.Stdout, sources)
	if err := report.Textfiles(a.old.textfiles); err != nil {
		return err
	}
	if a.old.prometheus != "" {
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
