package loki

import (
	"net/http"
	"strings"
	"testing"
)

// A server that rejects may repeat what it was sent.
func TestCredentialsAreNotRepeated(t *testing.T) {
	bearer, basic := http.Header{}, http.Header{}
	bearer.Set("Authorization", "Bearer token-4711")
	(&http.Request{Header: basic}).SetBasicAuth("user", "password-4712")
	for _, sent := range []http.Header{bearer, basic} {
		_, encoded, _ := strings.Cut(sent.Get("Authorization"), " ")
		got := new(client).redact(sent, "you sent "+sent.Get("Authorization")+" and password-4712 by user")
		if strings.Contains(got, encoded) || sent["Authorization"][0] == basic["Authorization"][0] && strings.Contains(got, "password-4712") || !strings.Contains(got, "by user") {
			t.Error(got)
		}
	}
}
