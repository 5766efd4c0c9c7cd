package remediators

import (
	"strings"
	"testing"
)

func TestMasks(t *testing.T) {
	for s, want := range map[string]bool{
		"********": true, "***": true, "•••••": true, " ****\n": true, "[redacted]": true, "<Hidden>": true, "(sensitive value)": true, "REDACTED": true, "**secret**": true, "-- redacted --": true,
		"": false, "**": false, "a***": false, "secret": false, "my [redacted] text": false, "s3cr3t": false, "hidden": false, "--redacted": false, "--": false, "-----BEGIN KEY-----": false,
	} {
		if IsMask(s) != want {
			t.Errorf("%q: %t", s, !want)
		}
	}
	for doc, want := range map[string]string{
		`{"a":[1,{"b/c":"***"}]}`: "/x/a/1/b~1c", `"***"`: "/x", `{"a":"b"}`: "", ``: "", `null`: "", `{"a":`: "",
		`{"v":"{\"password\": \"***\"}"}`: "/x/v", `{"v":" [1, \"\", \"[redacted]\"]"}`: "/x/v", `{"v":"{ *** }"}`: "", `{"v":"[1]"}`: "",
	} {
		got, found := FindMask([]byte(doc), "/x")
		if found != (want != "") || found && got != want {
			t.Errorf("%s: %q %t, want %q", doc, got, found, want)
		}
	}
}

func TestAllMasks(t *testing.T) {
	got := FindMasks([]byte(`{"b":["x","***",{"c":"[redacted]"}],"a/b":"••••"}`), "")
	if strings.Join(got, " ") != "/a~1b /b/1 /b/2/c" {
		t.Errorf("masks are at %v", got)
	}
}
