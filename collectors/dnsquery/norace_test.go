//go:build !race

package dnsquery

const millionNames = 1_000_000
