package remediatortest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A Hand is somebody who changes things at a third party past the ledger: the script that makes an effect, or somebody
// else whose change is drift.
type Hand struct {
	T      testing.TB
	URL    string            // of the third party, or of its API below it
	Header map[string]string // of every call; Content-Type is application/json unless it says another
}

// Call makes a call and returns what was answered.
func (h Hand) Call(method, path, body string) (status int, answer string) {
	h.T.Helper()
	req, err := http.NewRequestWithContext(h.T.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		h.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range h.Header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.T.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		h.T.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

// Must is Call, and fails the test unless the answer is a 2xx.
func (h Hand) Must(method, path, body string) (answer string) {
	h.T.Helper()
	status, answer := h.Call(method, path, body)
	if status/100 != 2 {
		h.T.Fatalf("%s %s answered %d: %s", method, path, status, answer)
	}
	return answer
}
