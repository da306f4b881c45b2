package technitiumtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"
)

// The table's count, pages and deletions are those of a plain list.
func TestTable(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		table, list := newTable(), []int64{}
		gone := func(*stored) {}
		for range 60 {
			for range r.IntN(500) {
				at := int64(len(list))*10 - r.Int64N(1+r.Int64N(3000))
				table.insert(table.store(Row{}, at))
				list = append(list, at)
			}
			switch r.IntN(4) {
			case 0:
				n := r.IntN(700)
				table.deleteFirst(n, gone)
				list = list[min(n, len(list)):]
			case 1:
				before := r.Int64N(2000)
				table.deleteBefore(before, gone)
				list = slices.DeleteFunc(list, func(at int64) bool { return at < before })
			}
			in := interval{r.Int64N(4000) - 500, r.Int64N(40000)}
			want := slices.DeleteFunc(slices.Clone(list), func(at int64) bool { return at < in.start || at > in.end })
			lo := r.Int64N(int64(len(want)) + 10)
			hi := lo + r.Int64N(3000)
			var got []int64
			for _, row := range table.slice(in, lo, hi) {
				got = append(got, row.ticks)
			}
			page := want[min(lo, int64(len(want))):min(hi, int64(len(want)))]
			if table.count(in) != int64(len(want)) || !slices.Equal(got, page) || table.rows != len(list) {
				t.Fatalf("seed %d: count %d of %d, page of %d of %d", seed, table.count(in), len(want), len(got), len(page))
			}
		}
	}
}

// BenchmarkPage is a page of 1,000 rows in the middle of a million.
func BenchmarkPage(b *testing.B) {
	now := time.Now()
	s := New(Options{Now: func() time.Time { return now }})
	for i := range 1_000_000 {
		s.Insert(at(time.Duration(i)*time.Millisecond, "example.com"))
	}
	form := url.Values{
		"token": {Token}, "name": {s.App().Name}, "classPath": {s.App().ClassPath}, "descendingOrder": {"false"},
		"entriesPerPage": {"1000"}, "pageNumber": {"400"}, "start": {epoch.Add(time.Minute).Format("2006-01-02T15:04:05.9999999Z")},
	}
	for b.Loop() {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/logs/query?"+form.Encode(), nil))
		if w.Body.Len() < 100_000 {
			b.Fatal(fmt.Sprint(w.Body))
		}
	}
}
