package systemd

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// work does what signals have made due.
func (s *session) work(ctx context.Context) error {
	if s.full && s.reloading.IsZero() {
		return s.resync(ctx)
	}
	if s.relist {
		if err := s.list(ctx); err != nil {
			return err
		}
	}
	if len(s.ask) > 0 {
		names := slices.Sorted(maps.Keys(s.ask))
		clear(s.ask)
		if err := s.lookUp(ctx, names); err != nil {
			return err
		}
	}
	names := slices.Collect(maps.Keys(s.fresh))
	clear(s.fresh)
	return s.readAll(ctx, names)
}

// resync reads everything again.
func (s *session) resync(ctx context.Context) error {
	s.full, s.lastFull = false, time.Now()
	s.mu.Lock()
	s.stats.Resyncs++
	s.mu.Unlock()
	return s.update(ctx, true)
}

// list reads the list of units and looks declared ones up; properties only of units that are new
// or not as thought.
func (s *session) list(ctx context.Context) error { return s.update(ctx, false) }

func (s *session) update(ctx context.Context, full bool) error {
	names, patterns, version := s.wanted()
	listed, err := s.bus.listUnits(ctx)
	if err != nil {
		return err
	}
	place := s.bus.answered
	if full || s.relist || !slices.Equal(patterns, s.patterns) {
		if s.files, err = s.bus.unitFiles(ctx, patterns); err != nil {
			return err
		}
		s.relist, s.patterns = false, patterns
	}
	if err := s.catchUp(ctx, place); err != nil {
		return err
	}
	changed := s.takeList(listed, full)
	names = append(names, s.unloaded()...)
	if err := s.lookUp(ctx, names); err != nil {
		return err
	}
	s.takeFiles()
	if err := s.readAll(ctx, changed); err != nil {
		return err
	}
	s.undeclare(names)
	s.setUp(version)
	s.flush()
	return nil
}

// wanted joins the interests of all handles.
func (s *session) wanted() (names, patterns []string, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, interest := range s.interests {
		for _, name := range interest.Names {
			if ValidName(name) {
				names = append(names, name)
			}
		}
		patterns = append(patterns, interest.Patterns...)
	}
	slices.Sort(names)
	slices.Sort(patterns)
	return slices.Compact(names), slices.Compact(patterns), s.asked
}

// takeList takes up Manager.ListUnits and returns the units whose properties are to be read.
func (s *session) takeList(listed []unitStatus, full bool) (changed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	present := make(map[string]bool, len(listed))
	for _, status := range listed {
		if ignored(status.Name) || status.Following != "" {
			continue
		}
		present[status.Name] = true
		r := s.table.get(status.Name)
		r.next.InMemory = true
		if s.takeStatus(r, status, full) {
			changed = append(changed, status.Name)
		}
	}
	for name, r := range s.table.records {
		if r.next.InMemory && !present[name] {
			s.table.removed(name)
		}
	}
	return changed
}

// takeStatus takes up one row and tells whether its properties are to be read.
func (s *session) takeStatus(r *record, status unitStatus, full bool) bool {
	n := &r.next
	news := r.unit == nil || n.ActiveState != status.ActiveState || n.SubState != status.SubState || n.LoadState != status.LoadState
	r.path = status.Path
	n.LoadState = status.LoadState
	if wantsDetails(n, status.ActiveState) {
		return news || full
	}
	if news {
		n.ActiveState, n.SubState = status.ActiveState, status.SubState
		s.table.commit(r)
	}
	return false
}

// wantsDetails: the list tells all that is needed of most types of units.
func wantsDetails(n *Unit, activeState string) bool {
	switch n.LoadState {
	case "not-found", "masked":
		return activeState != "inactive"
	case "loaded":
		return n.Type() == "service" || n.Type() == "timer" || activeState == "failed"
	}
	return true
}

func (s *session) takeFiles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.table.records {
		if state := fileState(s.files, name); state != r.next.FileState {
			r.next.FileState = state
			r.republish()
		}
	}
	s.snapshot = nil
}

// fileState of a unit, or of the template that it is an instance of.
func fileState(files map[string]string, name string) string {
	if state, ok := files[name]; ok {
		return state
	}
	if at := strings.IndexByte(name, '@'); at >= 0 {
		return files[name[:at+1]+name[strings.LastIndexByte(name, '.'):]]
	}
	return ""
}

// unloaded picks the unit files that interests want shown and that the manager has not in memory.
func (s *session) unloaded() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.files {
		if r := s.table.records[name]; (r == nil || !r.next.InMemory) && s.wantsFile(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// wantsFile tells whether a unit is to be shown because of its unit file, in memory or not.
func (s *session) wantsFile(name string) bool {
	state, ok := s.files[name]
	if !ok || !ValidName(name) {
		return false
	}
	for _, interest := range s.interests {
		if interest.wantsFile(name, state) {
			return true
		}
	}
	return false
}

func (i Interest) wantsFile(name, state string) bool {
	switch state {
	case "enabled", "enabled-runtime":
	case "static", "generated", "linked", "linked-runtime", "transient":
		if i.EnabledOnly {
			return false
		}
	default: // disabled, masked, alias, indirect, bad ...
		return false
	}
	return slices.ContainsFunc(i.Patterns, func(p string) bool { return Match(p, name) })
}

// lookUp asks for units by name, whether in memory or not.
func (s *session) lookUp(ctx context.Context, names []string) error {
	found, err := s.bus.listByNames(ctx, names)
	if err == nil && len(names) > 0 {
		err = s.catchUp(ctx, s.bus.answered)
	}
	if err != nil {
		return err
	}
	var changed []string
	s.mu.Lock()
	for i, status := range found {
		if status.Name != names[i] {
			s.table.aliases[names[i]] = status.Name
		} else {
			delete(s.table.aliases, names[i])
		}
		r := s.table.get(status.Name)
		r.declared, r.asked = true, r.next.InvocationID
		r.next.LoadState, r.path = status.LoadState, status.Path
		if !r.next.InMemory {
			// It left memory with the answer, so that reading its properties would load it again.
			r.next.ActiveState, r.next.SubState = status.ActiveState, status.SubState
			s.table.commit(r)
			if status.LoadState != "loaded" && status.LoadState != "not-found" && status.LoadState != "masked" {
				changed = append(changed, status.Name)
			}
		}
	}
	s.snapshot = nil
	s.mu.Unlock()
	return s.readAll(ctx, changed)
}

// undeclare lets go of units that no interest names any more.
func (s *session) undeclare(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := make(map[string]bool, len(names))
	for _, name := range names {
		keep[name] = true
		if id, ok := s.table.aliases[name]; ok {
			keep[id] = true
		}
	}
	maps.DeleteFunc(s.table.aliases, func(alias, _ string) bool { return !keep[alias] })
	for name, r := range s.table.records {
		if r.declared && !keep[name] {
			r.declared = false
			if !r.next.InMemory {
				s.table.removed(name)
			}
		}
	}
}

// readAll reads all properties of units.
func (s *session) readAll(ctx context.Context, names []string) error {
	var wanted []unitPath
	s.mu.Lock()
	for _, name := range names {
		if r := s.table.records[name]; r != nil && r.path != "" {
			wanted = append(wanted, unitPath{name, r.path})
		}
	}
	s.mu.Unlock()
	return s.bus.details(ctx, wanted, func(name string, p properties, place dbus.Sequence) error {
		if err := s.catchUp(ctx, place); err != nil {
			return err
		}
		s.takeDetails(name, p)
		return nil
	})
}

func (s *session) takeDetails(name string, p properties) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.table.records[name]; r != nil { // else it is gone meanwhile
		r.next.setType(p)
		r.next.setUnit(p)
		s.table.commit(r)
		s.snapshot = nil
	}
}
