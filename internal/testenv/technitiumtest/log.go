package technitiumtest

import "time"

const (
	batchRows      = 1000
	insertEvery    = 10 * time.Second // version 13
	insertPause    = 10 * time.Second // after a failure, version 14 on
	cleanupFirst   = 5 * time.Second
	cleanupEvery   = 15 * time.Minute
	ticksPerSecond = 1e7
)

// start is called with the lock, or before anyone else has the server.
func (s *Server) start() {
	s.started = s.opts.Now()
	s.cleanup = s.started.Add(cleanupFirst)
	s.insert = s.started
	if s.major == 13 {
		s.insert = s.started.Add(insertEvery)
	}
	s.stats = stats{minutes: map[int64]*outcomes{}}
}

// Log gives the server queries that it has just answered; their order is that of their answers,
// not of their times.
func (s *Server) Log(rows ...Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	for _, r := range rows {
		s.counts.Logged++
		s.stats.add(r)
		if s.major > 13 && len(s.queue) >= s.opts.MaxQueue {
			s.counts.Lost++
			continue
		}
		s.queue = append(s.queue, r)
		if s.major > 13 && len(s.queue) >= batchRows {
			s.drain()
		}
	}
	s.advance()
}

// Insert puts rows into the table at once, in this order, whatever their times.
func (s *Server) Insert(rows ...Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	for _, r := range rows {
		s.counts.Logged++
		s.stats.add(r)
		s.put(r)
	}
}

func (s *Server) put(r Row) {
	s.table.insert(s.table.store(r, ticks(s.opts.App.keep(r.Time))))
	s.counts.Inserted++
}

func ticks(t time.Time) int64 { return t.Unix()*ticksPerSecond + int64(t.Nanosecond())/100 }

// Flush inserts what is queued, as a timer would.
func (s *Server) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insert = s.opts.Now()
	s.drain()
}

// FailInserts makes the next n batches fail; their rows are lost.
func (s *Server) FailInserts(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing += n
}

// Cleanup runs the retention now.
func (s *Server) Cleanup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.retain(s.opts.Now())
}

// SetRetention changes both limits, as the app's settings do; 0 is no limit.
func (s *Server) SetRetention(records int, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.MaxRecords, s.opts.MaxAge = records, age
}

// Restart ends the server and starts it again: its counters begin at 0. Version 13 inserts what
// it has queued first, later ones lose it.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	if s.major == 13 {
		s.drain()
	}
	s.counts.Lost += int64(len(s.queue))
	s.queue = nil
	s.start()
}

// Counts returns what has become of the rows so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	c := s.counts
	c.Retained, c.Queued = int64(s.table.rows), int64(len(s.queue))
	return c
}

// Retained returns the rows of the table in the order of insertion, with times as it keeps them.
func (s *Server) Retained() []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	rows := make([]Row, 0, s.table.rows)
	for _, b := range s.table.blocks {
		for i := range b.rows {
			rows = append(rows, s.table.row(&b.rows[i]))
		}
	}
	return rows
}

// advance runs the timers that are due, in their order.
func (s *Server) advance() {
	now := s.opts.Now()
	for {
		insert := len(s.queue) > 0 && !s.insert.After(now)
		cleanup := !s.cleanup.After(now)
		switch {
		case insert && (!cleanup || !s.insert.After(s.cleanup)):
			s.drain()
		case cleanup:
			s.retain(s.cleanup)
			// Runs that find nothing new to do are passed over.
			s.cleanup = s.cleanup.Add(cleanupEvery * max(1, now.Sub(s.cleanup)/cleanupEvery))
		default:
			if s.major == 13 && now.After(s.insert) {
				s.insert = s.insert.Add(insertEvery * (now.Sub(s.insert)/insertEvery + 1))
			}
			return
		}
	}
}

// drain inserts the queue in batches until it is empty or one fails.
func (s *Server) drain() {
	if s.major > 13 && s.insert.After(s.opts.Now()) {
		return
	}
	for len(s.queue) > 0 {
		n := min(batchRows, len(s.queue))
		if s.failing > 0 {
			s.failing--
			s.counts.Lost += int64(n)
			s.queue = s.queue[n:]
			s.insert = s.opts.Now().Add(insertPause)
			return
		}
		for _, r := range s.queue[:n] {
			s.put(r)
		}
		s.queue = s.queue[n:]
	}
	s.queue = nil
	if s.major == 13 {
		s.insert = s.insert.Add(insertEvery)
	}
}

func (s *Server) retain(now time.Time) {
	gone := func(r *stored) {
		s.counts.Deleted++
		if !r.served {
			s.counts.Unserved++
		}
		if s.opts.OnDelete != nil {
			s.opts.OnDelete(s.table.row(r), r.served)
		}
	}
	if s.opts.MaxRecords > 0 {
		s.table.deleteFirst(s.table.rows-s.opts.MaxRecords, gone)
	}
	if s.opts.MaxAge > 0 {
		s.table.deleteBefore(s.bound(now.Add(-s.opts.MaxAge)), gone)
	}
}
