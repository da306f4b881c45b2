package ledger

import (
	"fmt"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors/litellm/names"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// TestCombinations has more combinations of labels than series: the rest is counted as other in
// all of them, nothing is lost, and what had a series keeps it.
func TestCombinations(t *testing.T) {
	n := names.New(100)
	st := &State{Series: map[string]*Series{}}
	var rows []row
	for m := range 50 {
		for p := range 50 {
			rows = append(rows, row{"", fmt.Sprint("m", m), fmt.Sprint("p", p), Values{spend: 1}})
		}
	}
	for range 2 {
		st.apply(n, rows)
		total := 0.0
		for _, s := range st.Series {
			total += s.Table[spend] + s.Offset[spend]
		}
		if total != 2500 || len(st.Series) != maxSeries+1 || st.Corrections != 0 {
			t.Errorf("%v USD in %d series, %v corrections", total, len(st.Series), st.Corrections)
		}
	}
	out := metric.NewBatch(Declared, "", "", 0)
	st.Emit(out)
	if err := out.Err(); err != nil {
		t.Error(err)
	}
}
