package zfs

import (
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/collectors/zfs/status"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// emitImported emits the state of each pool that is imported, and a 0 for each
// that is expected and is not.
func (c *Collector) emitImported(out *metric.Batch, states map[string]string) {
	for name, state := range states {
		out.Gauge(poolImported, 1, name)
		out.State(poolState, strings.ToLower(state), name)
	}
	for _, name := range c.cfg.Pools {
		if _, ok := states[name]; !ok {
			out.Gauge(poolImported, 0, name)
		}
	}
}

// emitKernelStates is what is left to say when zpool gave no answer.
func (c *Collector) emitKernelStates(out *metric.Batch, noModule bool) {
	states := c.kernelStates()
	if len(states) > 0 || noModule {
		c.emitImported(out, states)
	}
}

func optional(out *metric.Batch, g metric.Gauge, value *float64, scale float64, labels ...string) {
	if value != nil {
		out.Gauge(g, *value*scale, labels...)
	}
}

// emitPool emits the properties of a pool. A pool imported read-only reports 0
// for what is allocated whatever it holds, so nothing is said of that.
func emitPool(out *metric.Batch, p pool, root *dataset) {
	optional(out, poolSize, p.size, 1, p.name)
	optional(out, poolFreeing, p.freeing, 1, p.name)
	optional(out, poolLeaked, p.leaked, 1, p.name)
	optional(out, poolDedup, p.dup, 1, p.name)
	out.Bool(poolReadonly, p.readonly, p.name)
	if !p.readonly {
		optional(out, poolAllocated, p.allocated, 1, p.name)
		optional(out, poolFree, p.free, 1, p.name)
		optional(out, poolCapacity, p.capacityPercent, 0.01, p.name)
		optional(out, poolFragments, p.fragmentationPercent, 0.01, p.name)
	}
	if root != nil && root.used != nil && root.available != nil && *root.used+*root.available > 0 {
		out.Gauge(poolUsable, *root.used/(*root.used+*root.available), p.name)
	}
}

func emitStatus(out *metric.Batch, s status.Pool) {
	out.Bool(poolClean, s.Clean(), s.Name)
	if s.Errors != nil {
		out.Gauge(poolDataErrors, float64(*s.Errors), s.Name)
	}
	if s.MessageID != "" {
		out.Info(poolStatus, s.Name, s.MessageID)
	}
	for _, v := range s.Vdevs {
		out.State(vdevState, strings.ToLower(v.State), s.Name, v.Class, v.Name)
		for operation, n := range map[string]*uint64{"read": v.Read, "write": v.Write, "checksum": v.Checksum} {
			if n != nil {
				out.Counter(vdevErrors, float64(*n), s.Name, v.Class, v.Name, operation)
			}
		}
		if v.SlowIOs != nil {
			out.Counter(vdevSlow, float64(*v.SlowIOs), s.Name, v.Class, v.Name)
		}
	}
	if s.Scan != nil && s.Scan.Function != "" {
		emitScan(out, s.Name, s.Scan)
	}
}

func emitScan(out *metric.Batch, pool string, s *status.Scan) {
	out.State(scanState, s.State, pool, s.Function)
	optional(out, scanProgress, s.Progress, 1, pool, s.Function)
	if s.Errors != nil {
		out.Gauge(scanErrors, float64(*s.Errors), pool, s.Function)
	}
	if s.Repaired != nil {
		out.Gauge(scanRepaired, float64(*s.Repaired), pool, s.Function)
	}
	if s.Start > 0 {
		out.Gauge(scanStart, float64(s.Start), pool, s.Function)
	}
	if s.End > 0 {
		out.Gauge(scanEnd, float64(s.End), pool, s.Function)
	}
}

// emitDatasets emits the datasets of a pool, or that they could not be listed.
// Where the snapshots could not be, what is known of the datasets still is.
func (c *Collector) emitDatasets(out *metric.Batch, p pool, l listing) {
	out.Bool(poolDatasetsSuccess, l.err == nil, p.name)
	c.log.Note("the datasets of pool "+p.name, l.err, "")
	for _, d := range l.datasets {
		labels := []string{d.name, p.name, d.kind}
		optional(out, dsUsed, d.used, 1, labels...)
		optional(out, dsAvailable, d.available, 1, labels...)
		optional(out, dsReferenced, d.referenced, 1, labels...)
		optional(out, dsWritten, d.written, 1, labels...)
		optional(out, dsVolumeSize, d.volsize, 1, labels...)
		optional(out, dsSnapshotUsed, d.snaps, 1, labels...)
		if d.quota != nil && *d.quota > 0 { // 0 is ZFS' word for none
			out.Gauge(dsQuota, *d.quota, labels...)
		}
		if l.err == nil {
			emitSnapshots(out, d, labels)
		}
	}
}

func emitSnapshots(out *metric.Batch, d *dataset, labels []string) {
	out.Gauge(dsSnapshots, float64(d.snapshots), labels...)
	if d.snapshots > 0 {
		out.Gauge(dsNewest, float64(d.newest), labels...)
		out.Gauge(dsOldest, float64(d.oldest), labels...)
	}
	for _, r := range d.rules {
		if due := r.due(d); due > 0 {
			out.Gauge(dsDue, float64(due), append(slices.Clip(labels), r.names)...)
		}
	}
}

// emitRules emits how many datasets each expectation was found for, if all
// datasets were seen: those of a missing pool are not known to be gone.
func (c *Collector) emitRules(out *metric.Batch, imported map[string]string, listings []listing) {
	if c.cfg.SanoidConfig != "" {
		out.Bool(sanoidSuccess, c.policyErr == nil)
		c.log.Note("the policy of sanoid", c.policyErr, "")
	}
	if c.expectedButMissing(imported) || slices.ContainsFunc(listings, func(l listing) bool { return l.err != nil }) {
		return
	}
	counts := map[[2]string]int{}
	for _, r := range c.cfg.Snapshots {
		counts[[2]string{r.Datasets, r.Names}] = 0
	}
	for _, name := range c.policy.Datasets() {
		counts[[2]string{name, sanoidNames}] = 0
	}
	for _, l := range listings {
		for _, a := range l.rules {
			counts[[2]string{a.datasets, a.names}] += a.count
		}
	}
	for key, n := range counts {
		out.Gauge(ruleDatasets, float64(n), key[0], key[1])
	}
}
