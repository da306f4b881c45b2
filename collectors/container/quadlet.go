package container

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

const maxQuadlet = 1 << 20

// expected gives the names of the containers that should run. What could be read is given with
// the error of what could not.
func expected(cfg Config) ([]string, error) {
	var errs []error
	var names []string
	for _, n := range cfg.Expected {
		names = append(names, metric.LabelValue(n))
	}
	for _, dir := range cfg.Quadlets {
		found, err := quadlets(dir)
		names = append(names, found...)
		errs = append(errs, err)
	}
	slices.Sort(names)
	return slices.Compact(names), errors.Join(errs...)
}

// quadlets reads the *.container files of a folder (podman-systemd.unit(5)). A folder that does
// not exist names none. A template, name@.container, names none either: its instances do.
func quadlets(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	errs := []error{err}
	for _, entry := range entries {
		unit, ok := strings.CutSuffix(entry.Name(), ".container")
		if !ok || unit == "" || strings.HasSuffix(unit, "@") {
			continue
		}
		file, err := os.Open(filepath.Join(dir, entry.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name, err := quadletName(io.LimitReader(file, maxQuadlet), unit)
		_ = file.Close()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if name != "" {
			names = append(names, metric.LabelValue(name))
		}
	}
	return names, errors.Join(errs...)
}

// quadletName gives the name of the container of a quadlet file, systemd-<unit> unless it says
// another, and "" for one that is a job and not always there:
//
//	[Container]
//	Image=docker.io/library/wallabag
//	ContainerName=wallabag
//	[Service]
//	Type=oneshot
func quadletName(r io.Reader, unit string) (string, error) {
	name, section, job := "systemd-"+unit, "", false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxQuadlet)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case section == "[Service]" && key == "Type":
			job = value == "oneshot"
		case section == "[Container]" && key == "ContainerName" && value != "":
			_, instance, _ := strings.Cut(unit, "@")
			prefix, _, _ := strings.Cut(unit, "@")
			name = strings.NewReplacer("%n", unit+".service", "%N", unit, "%p", prefix, "%i", instance).Replace(value)
		}
	}
	if job {
		name = ""
	}
	return name, lines.Err()
}
