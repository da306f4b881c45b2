package redis

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"
)

// info is an answer to INFO (https://redis.io/docs/latest/commands/info/):
//
//	# Memory
//	used_memory:1048576
//	# Replication
//	slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=1
//	# Keyspace
//	db0:keys=3,expires=1,avg_ttl=0
type info map[string]string

const longestLine = 64 << 10 // client names and config paths are far shorter

func parseInfo(r io.Reader) (info, error) {
	in := info{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		line := strings.ToValidUTF8(strings.TrimRight(lines.Text(), "\r"), "\uFFFD")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok {
			in[name] = value
		}
	}
	return in, lines.Err()
}

// number is the value of a field; ok is false where it is missing or not a number.
func (in info) number(name string) (value float64, ok bool) {
	return number(in[name])
}

func number(text string) (float64, bool) {
	value, err := strconv.ParseFloat(text, 64)
	return value, err == nil && !math.IsNaN(value) && !math.IsInf(value, 0)
}

// parts are the pairs of a value such as keys=3,expires=1.
func parts(value string) map[string]string {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(value, ",") {
		if name, v, ok := strings.Cut(pair, "="); ok {
			pairs[name] = v
		}
	}
	return pairs
}

// numbered finds the fields that are a prefix and a number: db0, slave1.
func (in info) numbered(prefix string) map[string]map[string]string {
	found := map[string]map[string]string{}
	for name, value := range in {
		digits, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if _, err := strconv.ParseUint(digits, 10, 32); err == nil {
			found[name] = parts(value)
		}
	}
	return found
}
