package migrate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Textfile is one file of node_exporter's textfile collector.
type Textfile struct {
	Path string
	// Families by name; nil where Err tells why it could not be read.
	Families map[string]*dto.MetricFamily
	Err      error
}

// maxTextfile bounds what is read of a file; real ones have some kB.
const maxTextfile = 64 << 20

// ReadTextfiles reads DIR/*.prom, as node_exporter does. A file that cannot be
// read is told in its Err, the folder in err.
func ReadTextfiles(dir string) ([]Textfile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []Textfile
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".prom") {
			continue
		}
		f := Textfile{Path: filepath.Join(dir, e.Name())}
		f.Families, f.Err = readTextfile(f.Path)
		files = append(files, f)
	}
	return files, nil
}

func readTextfile(path string) (map[string]*dto.MetricFamily, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxTextfile {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", path, maxTextfile)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseTextfile(content)
}

// parseTextfile reads the text format, such as
//
//	# TYPE restic_snapshots_total gauge
//	restic_snapshots_total{repository="Audio"} 12
func parseTextfile(content []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(bytes.NewReader(content))
}

// series lists the labels of each series of a family.
func series(f *dto.MetricFamily) []map[string]string {
	var out []map[string]string
	for _, m := range f.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		out = append(out, labels)
	}
	return out
}
