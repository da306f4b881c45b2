package technitiumtest

import (
	"encoding/json"
	"net/http"
	"time"
)

// outcomes are numbers of queries by what became of them, under the API's names.
type outcomes struct {
	TotalQueries       int64 `json:"totalQueries"`
	TotalNoError       int64 `json:"totalNoError"`
	TotalServerFailure int64 `json:"totalServerFailure"`
	TotalNxDomain      int64 `json:"totalNxDomain"`
	TotalRefused       int64 `json:"totalRefused"`
	TotalAuthoritative int64 `json:"totalAuthoritative"`
	TotalRecursive     int64 `json:"totalRecursive"`
	TotalCached        int64 `json:"totalCached"`
	TotalBlocked       int64 `json:"totalBlocked"`
	TotalDropped       int64 `json:"totalDropped"`
	TotalClients       int64 `json:"totalClients"`
}

func (o *outcomes) add(r Row) {
	o.TotalQueries++
	switch r.RCode {
	case "NoError":
		o.TotalNoError++
	case "ServerFailure":
		o.TotalServerFailure++
	case "NxDomain":
		o.TotalNxDomain++
	case "Refused":
		o.TotalRefused++
	}
	switch r.ResponseType {
	case "Authoritative":
		o.TotalAuthoritative++
	case "Recursive":
		o.TotalRecursive++
	case "Cached":
		o.TotalCached++
	case "Blocked", "UpstreamBlocked", "UpstreamBlockedCached":
		o.TotalBlocked++
	case "Dropped":
		o.TotalDropped++
	}
}

// stats are what the server counts itself, whether the query log keeps the row or not.
type stats struct {
	life    outcomes
	minutes map[int64]*outcomes // by minute since 1970; clients are not counted by minute
	clients map[string]bool
}

func (s *stats) add(r Row) {
	s.life.add(r)
	minute := r.Time.Unix() / 60
	if s.minutes[minute] == nil {
		s.minutes[minute] = &outcomes{}
	}
	s.minutes[minute].add(r)
	if s.clients == nil {
		s.clients = map[string]bool{}
	}
	s.clients[r.Client] = true
	s.life.TotalClients = int64(len(s.clients))
}

// Settings are the parts of the server's state that are not about queries. The times may be zero.
type Settings struct {
	Blocking           bool
	BlockLists         []string
	UpdateEvery        time.Duration // of the block lists, in whole hours
	NextUpdate         time.Time     // of the block lists
	CachedEntries      int64
	BlockListZones     int64
	Zones              []Zone
	UpdateAvailable    bool
	TemporarilyOffTill time.Time // blocking
}

// Zone is one zone of the server.
type Zone struct {
	Name       string `json:"name"`
	Type       string `json:"type"` // Primary, Secondary, Stub, Forwarder and so on
	Internal   bool   `json:"internal"`
	Disabled   bool   `json:"disabled"`
	IsExpired  bool   `json:"isExpired,omitempty"`
	SyncFailed bool   `json:"syncFailed,omitempty"`
}

func defaultSettings() Settings {
	return Settings{
		Blocking: true, BlockLists: []string{"https://lists.example/hosts"}, UpdateEvery: 24 * time.Hour,
		CachedEntries: 1234, BlockListZones: 98765,
		Zones: []Zone{
			{Name: "localhost", Type: "Primary", Internal: true}, {Name: "home.arpa", Type: "Primary"},
			{Name: "example.com", Type: "Secondary", SyncFailed: true}, {Name: "lan", Type: "Forwarder", Disabled: true},
		},
	}
}

// Set changes the settings.
func (s *Server) Set(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.settings)
}

func (s *Server) answer(w http.ResponseWriter, response any) {
	body := map[string]any{"response": response, "status": "ok"}
	if s.major > 13 {
		body["server"] = "dns1"
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) windowStats(w http.ResponseWriter, r *http.Request) {
	if kind := r.Form.Get("type"); kind != "LastHour" {
		s.refuse(w, refusal{"error", "Unknown stats type requested: " + kind})
		return
	}
	s.mu.Lock()
	now := s.opts.Now().Unix() / 60
	var sum outcomes
	for minute, o := range s.stats.minutes {
		if minute > now-60 && minute <= now {
			sum.merge(o)
		}
	}
	sum.TotalClients = s.stats.life.TotalClients
	zones := int64(len(s.settings.Zones))
	cached, lists := s.settings.CachedEntries, s.settings.BlockListZones
	s.mu.Unlock()
	s.answer(w, map[string]any{
		"stats": struct {
			outcomes
			Zones          int64 `json:"zones"`
			CachedEntries  int64 `json:"cachedEntries"`
			AllowedZones   int64 `json:"allowedZones"`
			BlockedZones   int64 `json:"blockedZones"`
			AllowListZones int64 `json:"allowListZones"`
			BlockListZones int64 `json:"blockListZones"`
		}{sum, zones, cached, 1, 2, 3, lists},
		"mainChartData": map[string]any{"labelFormat": "HH:mm", "labels": []string{}, "datasets": []any{}},
		"topClients":    []any{},
	})
}

func (o *outcomes) merge(p *outcomes) {
	o.TotalQueries += p.TotalQueries
	o.TotalNoError += p.TotalNoError
	o.TotalServerFailure += p.TotalServerFailure
	o.TotalNxDomain += p.TotalNxDomain
	o.TotalRefused += p.TotalRefused
	o.TotalAuthoritative += p.TotalAuthoritative
	o.TotalRecursive += p.TotalRecursive
	o.TotalCached += p.TotalCached
	o.TotalBlocked += p.TotalBlocked
	o.TotalDropped += p.TotalDropped
}

func (s *Server) lifetime(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	started, life := s.started, s.stats.life
	uptime := s.opts.Now().Sub(started)
	s.mu.Unlock()
	s.answer(w, map[string]any{
		"uptimestamp": started.UTC().Format("2006-01-02T15:04:05.9999999Z"), "uptimeSeconds": int64(uptime.Seconds()),
		"lifetimeCounters": life,
	})
}

func (s *Server) zones(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	zones := append([]Zone{}, s.settings.Zones...)
	s.mu.Unlock()
	s.answer(w, map[string]any{"pageNumber": 1, "totalPages": 1, "totalZones": len(zones), "zones": zones})
}

func (s *Server) showSettings(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	set, started := s.settings, s.started
	s.mu.Unlock()
	out := map[string]any{
		"version": s.opts.Version, "uptimestamp": started.UTC().Format(time.RFC3339Nano), "dnsServerDomain": "dns1",
		"enableBlocking": set.Blocking, "blockListUrls": set.BlockLists,
		"blockListUpdateIntervalHours": int(set.UpdateEvery.Hours()), "cacheMaximumEntries": 10000,
	}
	if !set.NextUpdate.IsZero() {
		out["blockListNextUpdatedOn"] = set.NextUpdate.UTC().Format(time.RFC3339Nano)
	}
	if !set.TemporarilyOffTill.IsZero() {
		out["temporaryDisableBlockingTill"] = set.TemporarilyOffTill.UTC().Format(time.RFC3339Nano)
	}
	s.answer(w, out)
}

// session is not inside of a response, and it has the token.
func (s *Server) session(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	permissions := map[string]any{}
	for _, section := range []string{"Dashboard", "Zones", "Logs", "Settings"} {
		permissions[section] = map[string]bool{"canView": !s.denied[section]}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"displayName": "exporter", "username": "exporter", "token": Token, "status": "ok",
		"info": map[string]any{"version": s.opts.Version, "dnsServerDomain": "dns1", "permissions": permissions},
	})
}

func (s *Server) update(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	available := s.settings.UpdateAvailable
	s.mu.Unlock()
	out := map[string]any{"updateAvailable": available, "currentVersion": s.opts.Version}
	if available {
		out["updateVersion"] = "99.1"
	}
	s.answer(w, out)
}
