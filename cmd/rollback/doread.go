package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// maxCall is the longest body of a call that is read.
const maxCall = 2 << 20

func canonicalHeader(name string) string { return http.CanonicalHeaderKey(strings.TrimSpace(name)) }

func readWhole(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the caller names the file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxCall+1))
	if err == nil && len(raw) > maxCall {
		err = fmt.Errorf("it is longer than the %d bytes that a call through the ledger may have", maxCall)
	}
	return raw, err
}
