//go:build race

package dnsquery

// millionNames are fewer here: the race detector makes a million take minutes.
const millionNames = 200_000
